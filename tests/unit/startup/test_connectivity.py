"""The names that a server's certificate covers."""

from __future__ import annotations

import pytest

from fl_app.startup.connectivity import _covers


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("flare.example.org", "flare.example.org"),
        ("Flare.Example.org", "flare.example.ORG."),
        ("*.example.org", "flare.example.org"),
        ("10.0.0.7", "10.0.0.7"),
        ("0:0:0:0:0:0:0:1", "::1"),
    ],
)
def test_a_certificate_covers_a_name(pattern: str, host: str) -> None:
    assert _covers(pattern, host)


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("flare.example.org", "example.org"),
        ("*.example.org", "example.org"),
        ("*.example.org", "a.b.example.org"),
        ("10.0.0.7", "10.0.0.70"),
        ("localhost", "127.0.0.1"),
    ],
)
def test_a_certificate_does_not_cover_another_name(pattern: str, host: str) -> None:
    assert not _covers(pattern, host)
