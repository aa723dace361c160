"""The listener through which Flower's processes send metrics to their job process."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.fuel.f3.cellnet.connector_manager import ConnectorManager
from nvflare.fuel.f3.comm_config import CommConfigurator
from nvflare.fuel.f3.communicator import Communicator
from nvflare.fuel.f3.endpoint import Endpoint

from fl_app.flower.metrics import listen_on_loopback

PARENTS_PORT = 8102


@pytest.fixture
def communicator() -> Iterator[Communicator]:
    made = Communicator(Endpoint("job"))
    yield made
    made.stop()


def test_a_job_process_listens_on_a_free_loopback_port_and_keeps_nvflares_settings(
    monkeypatch: pytest.MonkeyPatch, communicator: Communicator
) -> None:
    internal = {"scheme": "tcp", "resources": {"host": "0.0.0.0", "port": PARENTS_PORT}}
    monkeypatch.setattr(CommConfigurator, "_config_loaded", True)
    monkeypatch.setattr(CommConfigurator, "_configuration", {"internal": internal})
    manager, listeners = ConnectorManager(communicator, False, CommConfigurator()), []
    cell = SimpleNamespace(
        make_internal_listener=lambda **options: listeners.append(manager.get_internal_listener(**options))
    )
    context = FLContext()
    context.set_prop(ReservedKey.ENGINE, SimpleNamespace(get_cell=lambda: cell), private=True, sticky=True)

    listen_on_loopback(context)

    (listener,) = listeners
    url = urlsplit(listener.get_connection_url())
    assert url.hostname == "127.0.0.1"
    assert url.port != PARENTS_PORT
    assert internal["resources"]["port"] == PARENTS_PORT
