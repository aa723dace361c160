"""Read the YAML file: its plain document, the line of each value, and YAML-specific errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import Reader

from deploy.errors import InputError
from deploy.project.validation.diagnostics import Diagnostic, Location, Mistake, ProjectError
from deploy.project.validation.yaml_syntax import SyntaxValidator

# libyaml is ten times as fast as PyYAML's own parser; some builds of PyYAML lack it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_BYTES = 2 * 1024 * 1024
"""About 10,000 sites, each with deployment settings."""
MAX_NODES = 400_000
"""Limit of keys and values after alias expansion, against alias bombs."""
MAX_DEPTH = 40


@dataclass
class Source:
    """A YAML file that was read.

    Args:
        root: the node of the document, with the position of every node below it.
        errors: valid YAML that project.yml must not contain, such as duplicate keys.
        unreadable: the locations whose value was replaced because of an error.
    """

    path: Path
    document: dict[str, Any]
    root: yaml.MappingNode
    errors: list[Diagnostic] = field(default_factory=list)
    unreadable: set[Location] = field(default_factory=set)
    _index: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = field(default_factory=dict)

    def line_of(self, at: Location) -> int:
        """Return the line of the key, or of the section that lacks it."""
        return self._find(at)[0]

    def text_of(self, at: Location) -> str | None:
        """Return a scalar as written in the file: 1.10, if the document contains 1.1; else None."""
        found = self._find(at)[1]
        return found.value if isinstance(found, yaml.ScalarNode) else None

    def _find(self, at: Location) -> tuple[int, yaml.Node | None]:
        node: yaml.Node = self.root
        line = node.start_mark.line
        for step in at:
            if isinstance(node, yaml.MappingNode) and step in (entries := self._entries(node)):
                key, node = entries[str(step)]
                line = key.start_mark.line
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line
            else:
                return line + 1, None
        return line + 1, node

    def _entries(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        if id(node) not in self._index:
            self._index[id(node)] = {key.value: (key, value) for key, value in node.value}
        return self._index[id(node)]


def read_source(path: Path) -> Source:
    """Read a YAML file whose top is a mapping.

    Raises:
        InputError: the file cannot be read or is not valid YAML.
    """
    text = _decode(path, _read(path))
    loader = None
    try:
        _measure(path, text)
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None or root.tag == "tag:yaml.org,2002:null":
            raise _error(path, 1, "the file is empty; `flarefleet init` writes one")
        if not isinstance(root, yaml.MappingNode):
            raise _error(path, root.start_mark.line + 1, "the file must be a mapping (KEY: VALUE lines)")
        syntax = SyntaxValidator()
        syntax.validate(root)
        return Source(path, loader.construct_document(root), root, syntax.errors, syntax.unreadable)
    except yaml.YAMLError as error:
        raise _yaml_error(path, text, error) from None
    finally:
        if loader is not None:
            loader.dispose()


def _error(path: Path, line: int, text: str) -> InputError:
    return ProjectError([Mistake.of(path, line, "", text)])


def _read(path: Path) -> bytes:
    try:
        if not path.exists():
            raise InputError(
                f"{path}: no such file. Create it: flarefleet init. Or name it: flarefleet --project FILE"
            )
        if not path.is_file():
            raise InputError(f"{path}: not a file; name project.yml itself: flarefleet --project FILE")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise _error(path, 1, f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB; name a project.yml")
    return data


def _decode(path: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _error(
            path, line, f"byte {data[error.start]:#04x} is not UTF-8; save the file as UTF-8 text"
        ) from None
    if match := Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, match.start()) + 1
        raise _error(path, line, f"character {ord(match.group()):#04x} is not allowed in YAML; remove it")
    return text


def _yaml_error(path: Path, text: str, error: Any) -> InputError:
    """Return the parser's message with the line and the usual cause."""
    context = getattr(error, "context_mark", None)
    mark = getattr(error, "problem_mark", None) or context
    lines = text.splitlines() or [""]
    line = min(mark.line, len(lines) - 1) if mark else 0
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
    where = ""
    if context and context.line < line:
        where = f" ({error.context}, line {context.line + 1})"
    hint = (
        "; indent with spaces, not tabs"
        if "\t" in lines[line]
        else "; check for a missing colon, quote or bracket"
    )
    return _error(path, line + 1, f"not valid YAML: {problem}{where}{hint}")


@dataclass
class _Open:
    """A mapping or list that is being parsed, with its size and depth after alias expansion."""

    anchor: str | None
    size: int = 1
    depth: int = 1

    def add(self, size: int, depth: int) -> None:
        self.size += size
        self.depth = max(self.depth, depth + 1)


def _measure(path: Path, text: str) -> None:
    """Reject a document that would exhaust memory or stack, before it is constructed."""
    open_nodes = [_Open(None)]
    anchors: dict[str | None, tuple[int, int]] = {}
    total = 0
    events: Any = yaml.parse(text, _Loader)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append(_Open(event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = open_nodes.pop()
            open_nodes[-1].add(closed.size, closed.depth)
            if closed.anchor:
                anchors[closed.anchor] = (closed.size, closed.depth)
        elif isinstance(event, yaml.AliasEvent):
            if any(parent.anchor == event.anchor for parent in open_nodes):
                raise _error(
                    path, line, f"alias *{event.anchor} refers to a value that contains it; remove the alias"
                )
            size, depth = anchors.get(event.anchor, (1, 0))
            open_nodes[-1].add(size, depth)
            total += size
        elif isinstance(event, yaml.ScalarEvent):
            open_nodes[-1].add(1, 0)
            total += 1
            if event.anchor:
                anchors[event.anchor] = (1, 0)
        if len(open_nodes) + open_nodes[-1].depth > MAX_DEPTH:
            raise _error(path, line, f"more than {MAX_DEPTH} nested levels; a project.yml has 8")
        if total > MAX_NODES:
            raise _error(path, line, f"more than {MAX_NODES} values after alias expansion")
