"""A private name of NVFlare that the kit depends on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PrivateName:
    """Location of the name, and its purpose in the kit."""

    name: str
    """MODULE:ATTRIBUTE.PATH, or `log:MODULE:TEXT` for a log text that the kit parses."""
    purpose: str
