"""Kubernetes quantities: 20Gi, 500m, 1.5."""

from __future__ import annotations

import re
from decimal import Decimal

from deploy.project.validation.diagnostics import quoted

_QUANTITY = re.compile(r"(\d{1,18}(?:\.\d{0,9})?|\.\d{1,9})([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d{1,2})?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_UNITS = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "k", "M", "G", "T", "P", "E", "m")
LEAST_BYTES = 2**20
"""Less than 1 MiB of storage or memory means a missing unit, or m (a thousandth) in place of M."""


def amount(text: str) -> Decimal | None:
    """Return a quantity in its base unit (bytes, cores), or None if it is not a quantity."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    number, unit = Decimal(match[1]), match[2] or ""
    if unit.endswith("i"):
        return number * Decimal(2) ** (10 * ("KMGTPE".index(unit[0]) + 1))
    if unit in _DECIMAL:
        return number.scaleb(_DECIMAL[unit])
    return number.scaleb(int(unit[1:]))


def quantity_error(text: str, *, is_bytes: bool) -> str | None:
    """Return what is wrong with a quantity, and a suggestion; None if it is valid."""
    example = "20Gi" if is_bytes else "500m or 2"
    value = amount(text)
    if value is None:
        nearest = _nearest(text)
        hint = f"; did you mean {nearest}?" if nearest else ""
        return f"must be a Kubernetes quantity, such as {example}, not {quoted(text)}{hint}"
    if value <= 0:
        return f"must be more than 0, such as {example}, not {quoted(text)}"
    if is_bytes and value < LEAST_BYTES:
        match = re.fullmatch(r"([\d.]+)(m?)", text)  # 512Mi for 512m, and 20Gi for 20
        hint = f"did you mean {match[1]}{'Mi' if match[2] else 'Gi'}?" if match else "write 20Gi, for example"
        return f"{text} is only {value.normalize():f} bytes; {hint}"
    return None


def _nearest(text: str) -> str | None:
    """Suggest 20Gi for 20GB, 20 gi and 20gib."""
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]{1,4})\s*", text)
    if match is None:
        return None
    first = match[2][0]
    unit = next((u for u in _UNITS if u.lower() == match[2].lower()), None)
    if unit is None and first.upper() in "KMGTPE":
        unit = f"{first.upper()}i"
    return f"{match[1]}{unit}" if unit else None
