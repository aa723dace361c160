"""Values as Grafana writes them, and their colours by threshold."""

from __future__ import annotations

import math
from typing import Any

COLOURS = {"green": "#2e7d32", "orange": "#e07b00", "red": "#c62828", "blue": "#1565c0"}
_DURATIONS = (
    (86400 * 365, "years"),
    (86400 * 7, "weeks"),
    (86400, "days"),
    (3600, "h"),
    (60, "min"),
    (1, "s"),
)
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")


def text(value: float, defaults: dict[str, Any]) -> str:
    """Return a value with the unit, or the text that a panel maps it to."""
    for mapping in defaults.get("mappings", []):
        if (found := mapping["options"].get(f"{value:g}")) is not None:
            return str(found["text"])
    unit = defaults.get("unit", "short")
    if not math.isfinite(value):
        return "-"
    if unit == "s":
        return _duration(value)
    if unit == "percentunit":
        return f"{100 * value:.4g}%"
    if unit in ("bytes", "binBps"):
        return _bytes(value) + ("/s" if unit == "binBps" else "")
    return _digits(value)


def colour(value: float, defaults: dict[str, Any]) -> str:
    """Return the colour of a value."""
    steps = defaults.get("thresholds", {}).get("steps", [])
    names = [step["color"] for step in steps if step.get("value") is None or value >= step["value"]]
    return COLOURS.get(names[-1] if names else "", "#334155")


def _duration(value: float) -> str:
    for seconds, name in _DURATIONS:
        if abs(value) >= seconds:
            return f"{_digits(value / seconds)} {name}"
    return f"{_digits(1000 * value)} ms" if value else "0 s"


def _bytes(value: float) -> str:
    power = min(int(math.log(max(abs(value), 1), 1024)), len(_BINARY) - 1)
    return f"{_digits(value / 1024**power)} {_BINARY[power]}"


def _digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
