"""A private name of NVFlare that the kit depends on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PrivateName:
    """Where NVFlare defines it, and what the kit uses it for."""

    name: str
    """MODULE:ATTRIBUTE.PATH, or `log:MODULE:TEXT` for a log text that the kit parses."""
    purpose: str
