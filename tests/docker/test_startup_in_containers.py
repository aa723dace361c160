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
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from deploy.federation_files import make_kits_and_releases
from deploy.images.build import ensure_site_images
from deploy.project import load_project
from deploy.workspace import Workspace
from fl_app.startup.exit_codes import Exit
from tests.docker.hosts import SERVER_HOST, Host
from tests.federation.federation import write_project
from tests.waiting import eventually

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(
        os.geteuid() != 0 and os.environ.get("CI") != "true",
        reason="only root can change the owner of a private key to the container's user",
    ),
]


@pytest.fixture(scope="module")
def workspace(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A federation of several hosts with its images; no host is running."""
    file = write_project(tmp_path_factory.mktemp("start-ups"), sites=2, name="start-ups")
    file.write_text(file.read_text().replace("default_host: localhost", f"default_host: {SERVER_HOST}"))
    project = load_project(file)
    found = Workspace(file.parent / "workspace" / project.name)
    make_kits_and_releases(project, found)
    images = ensure_site_images(engine, project, found)
    yield found
    for image in images.values():
        engine.images.remove(image)


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


def run(host: Host, seconds: float = 60.0) -> tuple[int, str]:
    """Start the host's container and return its exit code and its last line."""
    started = host.compose("up", "--detach")
    assert started.returncode == 0, started.stderr
    return wait(host, f"flare-start-ups-{host.name}-{host.name}-1", seconds)


def wait(host: Host, container: str, seconds: float = 60.0) -> tuple[int, str]:
    """Wait until a container exits and return its exit code and its last line."""

    def exited() -> dict[str, Any] | None:
        listed = host.compose("ps", "--all", "--format", "json").stdout
        found = {one["Name"]: one for one in map(json.loads, listed.splitlines())}[container]
        return found if found["State"] == "exited" else None

    found = eventually(exited, seconds, f"{container} has exited", pause=0.2)
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
    expire(site.folder / "kit" / "startup" / "client.crt", workspace.state / "cert.json")

    code, line = run(site)

    assert code == Exit.CERTIFICATE
    assert "expired on 2020-01-02" in line
    assert "flarefleet provision --renew" in line


def test_a_server_name_that_does_not_resolve_is_reported(host: Callable[..., Host]) -> None:
    code, line = run(host())

    assert code == Exit.SERVER_NAME
    assert f"the server's name {SERVER_HOST} does not resolve" in line


def test_a_server_that_does_not_answer_is_reported_with_its_port(host: Callable[..., Host]) -> None:
    code, line = run(host(extra_hosts=[f"{SERVER_HOST}:127.0.0.1"]))

    assert code == Exit.SERVER_UNREACHABLE
    assert f"the server {SERVER_HOST}:" in line


def test_a_full_volume_is_reported(host: Callable[..., Host]) -> None:
    tiny = {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=10001,mode=0700"}}

    code, line = run(host(volume=tiny))

    assert code == Exit.SPACE
    assert "the workspace /var/lib/flare has 1 MiB free" in line


def test_a_volume_of_another_user_is_reported(host: Callable[..., Host]) -> None:
    foreign = {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=0,mode=0755"}}

    code, line = run(host(volume=foreign))

    assert code == Exit.WORKSPACE
    assert "is not writable for user 10001" in line


def test_a_second_container_on_the_same_workspace_is_refused(host: Callable[..., Host]) -> None:
    site = host(server_wait="60")  # longer than the second container needs
    first = "flare-start-ups-site-1-site-1-1"
    site.compose("up", "--detach", "--wait-timeout", "1")

    site.compose("up", "--detach", "--scale", "site-1=2", "--no-recreate")

    code, line = wait(site, first.removesuffix("1") + "2")
    assert code == Exit.IN_USE
    assert "another parent" in line


def expire(certificate: Path, state: Path) -> None:
    """Reissue a certificate with the federation's CA, valid for one day in 2020."""
    old = x509.load_pem_x509_certificate(certificate.read_bytes())
    ca = json.loads(state.read_text(encoding="utf-8"))
    signer = load_pem_private_key(ca["root_pri_key"].encode(), password=None)
    begin = datetime(2020, 1, 1, tzinfo=timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=1))
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    certificate.write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM))
    certificate.chmod(0o644)
