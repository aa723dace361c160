"""Containers of the images start hardened, and exit with a code and one line if they cannot start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from docker.models.containers import Container
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from fl_app.startup.exit_codes import Exit
from tests.docker.conftest import Built
from tests.docker.containers import key_folder, parent

pytestmark = pytest.mark.docker

PRIVILEGES = """
import json, os
folders = "/ /etc /etc/flare/kit /opt/flare /usr /var /home /tmp /var/lib/flare".split()
status = dict(line.split(":", 1) for line in open("/proc/1/status") if ":" in line)
of_parent = [status[key].strip() for key in ("CapEff", "CapBnd", "NoNewPrivs")]
print(json.dumps([*of_parent, os.getuid(), [folder for folder in folders if os.access(folder, os.W_OK)]]))
"""
PROBE = ["/opt/flare/bin/python", "-m", "fl_app.telemetry.probe"]


@retry(stop=stop_after_delay(60), wait=wait_fixed(0.2), retry=retry_if_result(lambda ready: not ready))
def wait_until_ready(container: Container) -> bool:
    container.reload()
    assert container.status == "running", container.logs().decode()
    return container.exec_run([*PROBE, "readyz"]).exit_code == 0


def exit_of(container: Container) -> tuple[int, str]:
    return container.wait(timeout=60)["StatusCode"], container.logs(stdout=False).decode()


def test_a_hardened_server_becomes_ready_and_stops_on_request(built: Built, tmp_path: Path) -> None:
    kit = built.workspace.kit(built.project.server.name)
    with parent(built.client, built.server, key_folder(kit, tmp_path / "key")) as server:
        wait_until_ready(server)
        health = built.client.images.get(built.server).attrs["Config"]["Healthcheck"]["Test"][1:]
        assert server.exec_run(health).exit_code == 0
        server.stop(timeout=20)
        assert exit_of(server)[0] == 0


def test_only_workspace_and_tmp_are_writable_and_no_capability_is_left(built: Built, tmp_path: Path) -> None:
    kit = built.workspace.kit(built.project.server.name)
    with parent(built.client, built.server, key_folder(kit, tmp_path / "key")) as server:
        wait_until_ready(server)
        inside = server.exec_run(["/opt/flare/bin/python", "-c", PRIVILEGES]).output
    assert json.loads(inside) == ["0" * 16, "0" * 16, "1", 10001, ["/tmp", "/var/lib/flare"]]


def test_a_container_without_a_kit_reports_it(built: Built) -> None:
    with parent(built.client, built.runtime) as container:
        code, message = exit_of(container)
    assert (code, len(message.splitlines())) == (Exit.KIT, 1)


def test_a_container_without_a_key_reports_it(built: Built) -> None:
    with parent(built.client, built.server) as container:
        code, message = exit_of(container)
    assert (code, len(message.splitlines())) == (Exit.KEY, 1)
