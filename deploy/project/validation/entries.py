"""Access to a document that may be malformed: a value of the wrong type counts as empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from deploy.project.validation.diagnostics import Location


class Entry(NamedTuple):
    """A participant. A name, type or organization that is not a text is empty."""

    at: Location
    name: str
    type: str
    org: str
    content: Mapping[str, Any]


def entries_of(document: Mapping[str, Any]) -> list[Entry]:
    """Return the participants that are mappings."""
    return [
        Entry(
            ("participants", number), text_at(item, "name"), text_at(item, "type"), text_at(item, "org"), item
        )
        for number, item in enumerate(list_of(document.get("participants")))
        if isinstance(item, dict)
    ]


def text_at(content: object, key: str) -> str:
    """Return the text of a key, or an empty text."""
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, str) else ""


def list_of(value: object) -> list[Any]:
    """Return the list, or an empty list."""
    return value if isinstance(value, list) else []


def mapping_of(value: object) -> Mapping[str, Any]:
    """Return the mapping, or an empty mapping."""
    return value if isinstance(value, dict) else {}
