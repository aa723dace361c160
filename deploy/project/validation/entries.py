"""The plain document as far as it can be made out, so that one mistake in it never hides another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from deploy.project.validation.diagnostics import Location


class Entry(NamedTuple):
    """A participant; a part that is no text is empty."""

    at: Location
    name: str
    type: str
    org: str
    content: Mapping[str, Any]


def entries_of(document: Mapping[str, Any]) -> list[Entry]:
    """The participants that are mappings."""
    return [
        Entry(
            ("participants", number), text_at(item, "name"), text_at(item, "type"), text_at(item, "org"), item
        )
        for number, item in enumerate(list_of(document.get("participants")))
        if isinstance(item, dict)
    ]


def text_at(content: object, key: str) -> str:
    """The text under a key, or none."""
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, str) else ""


def list_of(value: object) -> list[Any]:
    """The list, or an empty one."""
    return value if isinstance(value, list) else []


def mapping_of(value: object) -> Mapping[str, Any]:
    """The mapping, or an empty one."""
    return value if isinstance(value, dict) else {}
