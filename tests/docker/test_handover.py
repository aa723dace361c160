"""The documented steps that hand over a site to a host with Docker; the tests run them as documented."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from deploy.runtimes.docker.program import find_compose
from tests.docker.hosts import NEEDS_ROOT, OTHER_MACHINE, Host, provisioned
from tests.documented import ROOT, Command, block_with, commands_in, run
from tests.federation.federation import SERVER

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600), NEEDS_ROOT]

GUIDE = ROOT / "docs" / "docker.md"
NAME = "handover"
PRELUDE = """\
set -ex
sudo() {{ "$@"; }}
docker() {{
    if [ "$1" = compose ]; then shift; [ "$1" = pull ] || {compose} "$@"; else command docker "$@"; fi
}}
"""
"""The image of these tests has no registry: `compose pull` does nothing."""


def is_kubernetes(command: Command) -> bool:
    return command.program in ("kubectl", "helm")


def run_lines(lines: list[str], folder: Path) -> str:
    """Run lines in one shell, and stop at the first that fails."""
    prelude = PRELUDE.format(compose=shlex.join(find_compose().command))
    return run(prelude + "\n".join(lines).replace("PROJECT", NAME), folder)


def with_override(lines: list[str], override: Path) -> list[str]:
    """Copy compose.override.yaml into the release folder before Compose starts."""
    position = next(n for n, line in enumerate(lines) if line.startswith("docker compose up"))
    return [*lines[:position], f"cp {override} compose.override.yaml", *lines[position:]]


@pytest.fixture(scope="module")
def operator(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The operator's folder after the documented steps, with a running server."""
    folder = tmp_path_factory.mktemp(NAME)
    with provisioned(engine, folder, NAME, sites=1) as (workspace, _):
        lines = block_with(GUIDE, "# the hospital")
        output = run_lines(lines[: lines.index("# the hospital")], folder)
        assert "sudo ctr -n k8s.io images import site-1.tar" in output
        with Host.receive(workspace.release / SERVER, folder / "server").running():
            yield folder


@pytest.fixture
def hospital(operator: Path, engine: docker.DockerClient, tmp_path: Path) -> Iterator[Path]:
    """The hospital's folder with the two files of the operator. Its engine does not have the image."""
    for name in ("site-1.tar", "site-1-release.tar"):
        (tmp_path / name).hardlink_to(operator / name)
    site = Host(tmp_path / "site-1", "site-1")
    (image,) = (one for one in image_names(engine) if f"{NAME}/site-1:" in one)
    engine.images.remove(image)
    try:
        yield tmp_path
        assert image in image_names(engine)
    finally:
        if site.folder.is_dir():
            site.compose("down", "--volumes")


def image_names(engine: docker.DockerClient) -> list[str]:
    return [tag for image in engine.images.list() for tag in image.tags]


def override_of(folder: Path) -> Path:
    """Write the compose.override.yaml of a host without a name server for the server's name."""
    (folder / "settings").mkdir()
    Host(folder / "settings", "site-1").override(**OTHER_MACHINE)
    return folder / "settings" / "compose.override.yaml"


def test_the_steps_of_the_docker_guide_start_a_site(hospital: Path) -> None:
    lines = block_with(GUIDE, "# the hospital")
    steps = lines[lines.index("# the hospital") + 1 :]

    log = run_lines(with_override(steps, override_of(hospital)), hospital)

    assert "Successfully registered client" in log
    run_lines(block_with(ROOT / "docs" / "upgrade.md", "docker compose"), hospital / "site-1")


def test_the_docker_commands_of_install_md_work(hospital: Path) -> None:
    run_lines(["tar -xf site-1-release.tar"], hospital)
    shutil.move(hospital / "site-1.tar", hospital / "site-1")
    lines = [one.line for one in commands_in(hospital / "site-1" / "INSTALL.md") if not is_kubernetes(one)]

    output = run_lines(with_override(lines, override_of(hospital)), hospital / "site-1")

    assert "client.crt: OK" in output
    assert "\nready\n" in output
    assert "Successfully registered client" in output
