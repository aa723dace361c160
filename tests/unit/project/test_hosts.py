"""Host names of the server: loopback, validity, and the Service of a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.hosts import is_host, is_loopback
from deploy.release.participant import Participant

from .project_file import WITHOUT_DEPLOYMENT, load


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("flare.localhost", True),
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("flare.example.org", False),
        ("notlocalhost", False),
        ("10.1.2.3", False),
    ],
)
def test_loopback_names_and_addresses_are_recognized(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize("name", ["a_b", "", "a..b", "-a", "a" * 64, "a b"])
def test_an_invalid_host_name_is_rejected(name: str) -> None:
    assert not is_host(name)
    assert is_host("flare-1.Example.org")


@pytest.mark.parametrize("host", ["localhost", "flare.localhost", "127.0.0.1"])
def test_sites_in_a_cluster_use_the_servers_service_if_its_host_is_loopback(
    tmp_path: Path, host: str
) -> None:
    content = WITHOUT_DEPLOYMENT.replace("fed_learn_port: 8002", f"default_host: {host}")
    project = load(tmp_path, content)
    site = project.parent("site-1")

    participant = Participant(project, site.deployment, site.name, kit=tmp_path)

    assert participant.server_host == "flare-example-org.flare-example-org.svc"
