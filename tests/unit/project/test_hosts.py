"""Host names of the server: loopback and validity."""

from __future__ import annotations

import pytest

from deploy.hosts import is_host, is_loopback


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
