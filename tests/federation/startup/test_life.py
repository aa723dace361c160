"""How a parent runs and ends: nothing survives it, and nothing but its workspace is written."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.federation.federation import SERVER, Federation
from tests.federation.parent import Parent
from tests.waiting import eventually

pytestmark = pytest.mark.federation

Start = Callable[..., Parent]


@pytest.mark.parametrize("request_to_stop", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_stop_ends_it_at_once_and_cleanly(
    request_to_stop: signal.Signals, clinics: Federation, server: Parent, start: Start, tmp_path: Path
) -> None:
    below = server.below()

    server.process.send_signal(request_to_stop)

    assert server.wait(3) == 0
    assert not any(_runs(process) for process in below)
    again = start(clinics.kit(SERVER), tmp_path / SERVER)
    eventually(again.is_ready, what="ports and workspace are free again")


def test_a_request_to_stop_is_heard_while_it_waits_for_its_server(
    clinics: Federation, start: Start, tmp_path: Path
) -> None:
    site = start(clinics.kit("site-1"), tmp_path / "ws")
    eventually(lambda: "does not answer" in str(site.readiness().get("reason")), what="it waits")

    assert site.stop() == 0


def test_a_killed_parent_is_seen_by_its_exit_code(server: Parent) -> None:
    server.below()[0].kill()

    assert server.wait(5) == 128 + signal.SIGKILL


def test_a_parent_ends_with_its_supervisor(server: Parent) -> None:
    below = server.below()

    server.process.kill()

    eventually(lambda: not any(_runs(process) for process in below), 5, "the parent has ended")


def test_the_kit_stays_as_it_is_and_its_key_is_not_copied(
    clinics: Federation, server: Parent, start: Start, tmp_path: Path
) -> None:
    before = _content(clinics.kit("site-1"))
    site = start(clinics.kit("site-1"), tmp_path / "site-1")
    eventually(site.is_ready, what="the site is ready")

    assert _content(clinics.kit("site-1")) == before
    secret = (clinics.kit("site-1") / "startup" / "client.key").read_bytes()
    for file in (tmp_path / "site-1").rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert secret not in file.read_bytes(), file


def test_a_file_of_a_job_cannot_stand_in_for_the_site_s_own_settings(
    clinics: Federation, start: Start, tmp_path: Path
) -> None:
    workspace = tmp_path / "ws"
    intruder = workspace / "00-job" / "app"
    intruder.mkdir(parents=True)
    (intruder / "comm_config.json").write_text(json.dumps({"internal": {"scheme": "nonsense"}}))
    (intruder / "resources.json").write_text("{}")

    server = start(clinics.kit(SERVER), workspace)

    eventually(server.is_ready, what="the server is ready")
    port = json.loads((workspace / "comm_config.json").read_text())["internal"]["resources"]["port"]
    assert port in _listening(server)


def test_an_administrator_s_restart_starts_it_again(server: Parent, tmp_path: Path) -> None:
    before = server.below()[0]
    (tmp_path / SERVER / "restart.fl").touch()  # NVFlare's way to say it

    before.terminate()
    before.wait(5)

    eventually(server.is_ready, what="it is back")
    assert server.below()[0].pid != before.pid
    assert not (tmp_path / SERVER / "restart.fl").exists()


def _content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _listening(parent: Parent) -> set[int]:
    return {
        connection.laddr.port
        for connection in parent.below()[0].net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
