"""What YAML lets pass and nobody means in project.yml: keys written twice, tags, values that are not."""

from __future__ import annotations

import yaml
from yaml.constructor import SafeConstructor

from deploy.project.validation.diagnostics import Diagnostic, Location, shown

_TAG = "tag:yaml.org,2002:"
_TEXT, _MAPPING, _MERGE = f"{_TAG}str", f"{_TAG}map", f"{_TAG}merge"
_PLAIN = {
    f"{_TAG}{kind}" for kind in ("str", "null", "bool", "int", "float", "timestamp", "map", "seq", "merge")
}
_INCLUDE = "NVFlare reads a file here, Flarefleet this one alone; write what that file holds"


class Inspection:
    """Looks at each node once; takes out what could not be built, so that all else can still be checked."""

    def __init__(self) -> None:
        self.mistakes: list[Diagnostic] = []
        self.unreadable: set[Location] = set()
        """Where nothing was left that could be checked further."""
        self._seen: set[int] = set()
        self._values = SafeConstructor()

    def inspect(self, node: yaml.Node, at: Location = ()) -> None:
        """Look at a node and all below it. Nothing may be its own descendant."""
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        if node.tag not in _PLAIN:
            text = f"the YAML tag {shown(node.tag)} is not for project.yml; remove it, or quote the value"
            self._take_out(node, at, text)
        elif isinstance(node, yaml.MappingNode):
            self._inspect_mapping(node, at)
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self.inspect(item, (*at, number))
        elif node.tag != _TEXT:
            self._inspect_scalar(node, at)

    def _inspect_mapping(self, node: yaml.MappingNode, at: Location) -> None:
        if node.tag != _MAPPING:
            self._take_out(node, at, "the YAML tag does not fit a mapping; remove it")
            return
        lines: dict[str, int] = {}
        kept = []
        for key, value in node.value:
            fault = None if key.tag == _MERGE else _key_fault(key, lines)
            if fault is not None:
                place = (*at, key.value) if key.tag == _TEXT else at
                self.mistakes.append(Diagnostic(place, fault, key.start_mark.line + 1))
                continue
            kept.append((key, value))
            if key.tag == _MERGE:
                self._inspect_merged(value, at)
            else:
                lines[key.value] = key.start_mark.line + 1
                self.inspect(value, (*at, key.value))
        node.value = kept

    def _inspect_merged(self, value: yaml.Node, at: Location) -> None:
        """Every mapping that `<<` takes in; PyYAML itself refuses what is none."""
        for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            self.inspect(part, at)

    def _inspect_scalar(self, node: yaml.Node, at: Location) -> None:
        try:
            value = self._values.construct_object(node)
        except Exception:  # PyYAML lets whatever int(), float() and datetime raise through
            self._values = SafeConstructor()
            self._take_out(node, at, f"{shown(node.value)} is not what it looks like; put it in quotes")
            return
        if isinstance(value, int) and abs(value) >= 2**63:
            self._take_out(node, at, "the number is too large")

    def _take_out(self, node: yaml.Node, at: Location, text: str) -> None:
        self.mistakes.append(Diagnostic(at, text, node.start_mark.line + 1))
        self.unreadable.add(at)
        node.__class__, node.tag, node.value = yaml.ScalarNode, _TEXT, "-"


def _key_fault(key: yaml.Node, lines: dict[str, int]) -> str | None:
    if not isinstance(key, yaml.ScalarNode):
        return "a key must be text, not a mapping or a list"
    if key.tag != _TEXT:
        return f"a key must be text, not {shown(key.value)}; put it in quotes"
    if key.value == "include":
        return _INCLUDE
    return f"written twice (first in line {lines[key.value]}); keep one" if key.value in lines else None
