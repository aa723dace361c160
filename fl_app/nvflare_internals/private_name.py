"""A private name of NVFlare that Flarefleet depends on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PrivateName:
    """Location of the name, and its purpose in Flarefleet."""

    name: str
    """MODULE:ATTRIBUTE.PATH, or `log:MODULE:TEXT` for a log text that Flarefleet parses."""
    purpose: str
