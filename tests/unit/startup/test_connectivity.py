"""The names that a server's certificate covers."""

from __future__ import annotations

import pytest

from fl_app.startup.connectivity import _covers


@pytest.mark.parametrize(
    ("pattern", "host", "covered"),
    [
        ("flare.example.org", "flare.example.org", True),
        ("Flare.Example.org", "flare.example.ORG.", True),
        ("*.example.org", "flare.example.org", True),
        ("10.0.0.7", "10.0.0.7", True),
        ("0:0:0:0:0:0:0:1", "::1", True),
        ("flare.example.org", "example.org", False),
        ("*.example.org", "example.org", False),
        ("*.example.org", "a.b.example.org", False),
        ("10.0.0.7", "10.0.0.70", False),
        ("localhost", "127.0.0.1", False),
    ],
)
def test_a_certificate_covers_its_names_and_no_others(pattern: str, host: str, covered: bool) -> None:
    assert _covers(pattern, host) is covered
