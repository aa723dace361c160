"""The life of a parent: none of its processes survives it, and it writes only to its workspace."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pytest

from tests.federation.federation import SERVER, Federation
from tests.federation.parent import Parent
from tests.federation.startup.conftest import Start
from tests.processes import is_running
from tests.waiting import eventually

pytestmark = pytest.mark.federation


def test_a_parent_exits_immediately_after_a_stop_signal_and_can_be_restarted(
    federation: Federation, server: Parent, start: Start, tmp_path: Path
) -> None:
    for stop_signal in (signal.SIGTERM, signal.SIGINT):
        descendants = server.descendants()
        server.process.send_signal(stop_signal)
        assert server.wait(3) == 0
        assert not any(is_running(process) for process in descendants)
        server = start(federation.kit(SERVER), tmp_path / SERVER)
        eventually(server.is_ready, what="the restarted server is ready")


def test_a_site_reports_that_it_waits_for_its_server_and_can_be_stopped(
    federation: Federation, start: Start, tmp_path: Path
) -> None:
    site = start(federation.kit("site-1"), tmp_path / "ws")
    waiting = "does not answer (connection refused)"
    eventually(lambda: waiting in str(site.readiness().get("reason")), what="the site waits for its server")
    assert site.readiness()["ready"] is False
    assert site.readiness()["starting"] is True

    assert site.stop() == 0


def test_a_file_of_a_job_does_not_replace_the_sites_settings(
    federation: Federation, start: Start, tmp_path: Path
) -> None:
    workspace = tmp_path / "ws"
    job_folder = workspace / "00-job" / "app"
    job_folder.mkdir(parents=True)
    (job_folder / "comm_config.json").write_text(json.dumps({"internal": {"scheme": "nonsense"}}))
    (job_folder / "resources.json").write_text("{}")

    server = start(federation.kit(SERVER), workspace)

    eventually(server.is_ready, what="the server is ready")
    port = json.loads((workspace / "comm_config.json").read_text())["internal"]["resources"]["port"]
    assert port in _listening(server)


def test_a_restart_request_of_an_administrator_restarts_the_parent(server: Parent, tmp_path: Path) -> None:
    before = server.descendants()[0]
    (tmp_path / SERVER / "restart.fl").touch()  # as NVFlare does

    before.terminate()
    before.wait(5)

    eventually(server.is_ready, what="the server is ready again")
    assert server.descendants()[0].pid != before.pid
    assert not (tmp_path / SERVER / "restart.fl").exists()


def _listening(parent: Parent) -> set[int]:
    return {
        connection.laddr.port
        for connection in parent.descendants()[0].net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
