"""Validation of YAML nodes: duplicate keys, tags, and scalars that cannot be converted."""

from __future__ import annotations

import yaml
from yaml.constructor import SafeConstructor

from deploy.project.validation.diagnostics import Diagnostic, Location, quoted

_TAG = "tag:yaml.org,2002:"
_TEXT, _MAPPING, _MERGE = f"{_TAG}str", f"{_TAG}map", f"{_TAG}merge"
_ALLOWED = {
    f"{_TAG}{kind}" for kind in ("str", "null", "bool", "int", "float", "timestamp", "map", "seq", "merge")
}


class SyntaxValidator:
    """Validates each node once, and replaces invalid ones so that the rest can be validated further."""

    def __init__(self) -> None:
        self.errors: list[Diagnostic] = []
        self.unreadable: set[Location] = set()
        """Locations of replaced nodes."""
        self._seen: set[int] = set()
        self._values = SafeConstructor()

    def validate(self, node: yaml.Node, at: Location = ()) -> None:
        """Validate a node and all nodes below it. No node may contain itself."""
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        if node.tag not in _ALLOWED:
            self._replace(node, at, f"the YAML tag {quoted(node.tag)} is not allowed; remove it")
        elif isinstance(node, yaml.MappingNode):
            self._validate_mapping(node, at)
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self.validate(item, (*at, number))
        elif node.tag != _TEXT:
            self._validate_scalar(node, at)

    def _validate_mapping(self, node: yaml.MappingNode, at: Location) -> None:
        if node.tag != _MAPPING:
            self._replace(node, at, "the YAML tag does not match a mapping; remove it")
            return
        lines: dict[str, int] = {}
        valid = []
        for key, value in node.value:
            error = None if key.tag == _MERGE else _key_error(key, lines)
            if error is not None:
                where = (*at, key.value) if key.tag == _TEXT else at
                self.errors.append(Diagnostic(where, error, key.start_mark.line + 1))
                continue
            valid.append((key, value))
            if key.tag == _MERGE:
                for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    self.validate(part, at)
            else:
                lines[key.value] = key.start_mark.line + 1
                self.validate(value, (*at, key.value))
        node.value = valid

    def _validate_scalar(self, node: yaml.Node, at: Location) -> None:
        try:
            value = self._values.construct_object(node)
        except Exception:  # PyYAML does not convert the errors of int(), float() and datetime
            self._values = SafeConstructor()
            self._replace(node, at, f"{quoted(node.value)} is not a valid number or date; put it in quotes")
            return
        if isinstance(value, int) and abs(value) >= 2**63:
            self._replace(node, at, "the number is too large")

    def _replace(self, node: yaml.Node, at: Location, text: str) -> None:
        self.errors.append(Diagnostic(at, text, node.start_mark.line + 1))
        self.unreadable.add(at)
        node.__class__, node.tag, node.value = yaml.ScalarNode, _TEXT, "-"


def _key_error(key: yaml.Node, lines: dict[str, int]) -> str | None:
    if not isinstance(key, yaml.ScalarNode):
        return "a key must be text, not a mapping or a list"
    if key.tag != _TEXT:
        return f"a key must be text, not {quoted(key.value)}; put it in quotes"
    if key.value == "include":
        return "include is not supported; copy the content of that file here"
    return f"duplicate key (first in line {lines[key.value]}); remove one" if key.value in lines else None
