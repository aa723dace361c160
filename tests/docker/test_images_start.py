"""Containers of the images start hardened, and exit with a code and one line if they cannot start."""

from __future__ import annotations

from pathlib import Path

import pytest
from docker.models.containers import Container

from fl_app.checks.exit_codes import Exit
from tests.docker.conftest import Built
from tests.docker.containers import key_folder, parent
from tests.waiting import eventually

pytestmark = pytest.mark.docker

PROBE = ["/opt/flare/bin/python", "-m", "fl_app.telemetry.probe"]


def is_ready(container: Container) -> bool:
    container.reload()
    assert container.status == "running", container.logs().decode()
    return container.exec_run([*PROBE, "readyz"]).exit_code == 0


def exit_of(container: Container) -> tuple[int, str]:
    return container.wait(timeout=60)["StatusCode"], container.logs(stdout=False).decode()


def test_a_hardened_server_becomes_ready_and_stops_on_request(built: Built, tmp_path: Path) -> None:
    kit = built.workspace.kit(built.project.server.name)
    with parent(built.client, built.server, key_folder(kit, tmp_path / "key")) as server:
        eventually(lambda: is_ready(server), 60, "the server is ready", pause=0.2)
        health = built.client.images.get(built.server).attrs["Config"]["Healthcheck"]["Test"][1:]
        assert server.exec_run(health).exit_code == 0
        server.stop(timeout=20)
        assert exit_of(server)[0] == 0


@pytest.mark.parametrize(("image", "reason"), [("runtime", Exit.KIT), ("server", Exit.KEY)])
def test_a_container_without_a_kit_or_a_key_reports_it(built: Built, image: str, reason: Exit) -> None:
    with parent(built.client, getattr(built, image)) as container:
        code, message = exit_of(container)
    assert (code, len(message.splitlines())) == (reason, 1)
