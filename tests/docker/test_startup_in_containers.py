"""The message and exit code of a container of a host's compose.yaml that cannot start."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import docker
import pytest

from deploy.workspace import Workspace
from fl_app.checks.exit_codes import Exit
from tests.docker.hosts import NEEDS_ROOT, SERVER_HOST, Host, provisioned
from tests.federation.certificates import reissue
from tests.waiting import eventually

pytestmark = [pytest.mark.docker, NEEDS_ROOT]


@pytest.fixture(scope="module")
def workspace(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A federation of several hosts with its images; no host is running."""
    with provisioned(engine, tmp_path_factory.mktemp("start-ups"), "start-ups", sites=2) as (found, _):
        yield found


@pytest.fixture
def host(workspace: Workspace, tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """A function that sets up the host of site-1 with changes to its service; it waits 1 s for its server."""
    made: list[Host] = []

    def receive(server_wait: str = "1", **changes: object) -> Host:
        made.append(Host.receive(workspace.release / "site-1", tmp_path / "site-1"))
        made[-1].override(restart="no", environment={"FLARE_SERVER_WAIT": server_wait}, **changes)
        return made[-1]

    try:
        yield receive
    finally:
        for one in made:
            one.compose("down", "--volumes", "--timeout", "5")


def run(host: Host) -> tuple[int, str]:
    """Start the host's container and return its exit code and its last line."""
    started = host.compose("up", "--detach")
    assert started.returncode == 0, started.stderr
    return wait(host, f"flare-start-ups-{host.name}-{host.name}-1")


def wait(host: Host, container: str) -> tuple[int, str]:
    """Wait until a container exits and return its exit code and its last line."""

    def exited() -> dict[str, Any] | None:
        listed = host.compose("ps", "--all", "--format", "json").stdout
        found = {one["Name"]: one for one in map(json.loads, listed.splitlines())}[container]
        return found if found["State"] == "exited" else None

    found = eventually(exited, 60, f"{container} has exited", pause=0.2)
    log = host.compose("logs", "--no-log-prefix", "--index", container.rpartition("-")[2], host.name)
    return found["ExitCode"], log.stdout.strip().splitlines()[-1]


def test_the_private_key_of_another_site_is_refused(host: Callable[..., Host], workspace: Workspace) -> None:
    site = host()
    (site.folder / "key" / "client.key").write_bytes(
        (workspace.kit("site-2") / "startup" / "client.key").read_bytes()
    )

    code, line = run(site)

    assert code == Exit.KEY
    assert "the private key /run/secrets/flare/client.key does not match the certificate" in line


def test_a_private_key_that_the_containers_user_cannot_read_is_reported(host: Callable[..., Host]) -> None:
    site = host()
    os.chown(site.folder / "key" / "client.key", 0, 0)

    code, line = run(site)

    assert code == Exit.KEY
    assert "/run/secrets/flare/client.key is not readable" in line


def test_an_expired_certificate_is_reported_with_its_date(
    host: Callable[..., Host], workspace: Workspace
) -> None:
    site = host(volumes=["./kit:/etc/flare/kit:ro"])
    certificate = site.folder / "kit" / "startup" / "client.crt"
    reissue(workspace, certificate, begin_days=-30, end_days=-2)
    certificate.chmod(0o644)

    code, line = run(site)

    assert code == Exit.CERTIFICATE
    assert f"expired on {datetime.now(timezone.utc) - timedelta(days=2):%Y-%m-%d}" in line
    assert "flarefleet provision --renew" in line


TMPFS = {"type": "tmpfs", "device": "tmpfs"}
CHANGES = {
    "a server name that does not resolve": (
        {},
        Exit.SERVER_NAME,
        f"the server's name {SERVER_HOST} does not resolve",
    ),
    "a server that does not answer": (
        {"extra_hosts": [f"{SERVER_HOST}:127.0.0.1"]},
        Exit.SERVER_UNREACHABLE,
        f"the server {SERVER_HOST}:",
    ),
    "a full volume": (
        {"volume": {"driver_opts": {**TMPFS, "o": "size=1m,uid=10001,mode=0700"}}},
        Exit.SPACE,
        "the workspace /var/lib/flare has 1 MiB free",
    ),
    "a volume of another user": (
        {"volume": {"driver_opts": {**TMPFS, "o": "size=1m,uid=0,mode=0755"}}},
        Exit.WORKSPACE,
        "is not writable for user 10001",
    ),
}


@pytest.mark.parametrize(("changes", "reason", "text"), CHANGES.values(), ids=CHANGES)
def test_a_host_that_cannot_run_the_site_is_reported(
    host: Callable[..., Host], changes: dict[str, object], reason: Exit, text: str
) -> None:
    code, line = run(host(**changes))

    assert code == reason
    assert text in line


def test_a_second_container_on_the_same_workspace_is_refused(host: Callable[..., Host]) -> None:
    site = host(server_wait="60")  # longer than the second container needs
    first = "flare-start-ups-site-1-site-1-1"
    site.compose("up", "--detach", "--wait-timeout", "1")

    site.compose("up", "--detach", "--scale", "site-1=2", "--no-recreate")

    code, line = wait(site, first.removesuffix("1") + "2")
    assert code == Exit.IN_USE
    assert "another parent" in line
