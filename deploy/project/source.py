"""The YAML of project.yml: its plain document, the line of each thing in it, and what YAML lets pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import Reader

from deploy.errors import InputError
from deploy.project.validation.diagnostics import Diagnostic, Location
from deploy.project.validation.yaml_syntax import Inspection

# libyaml reads what PyYAML's own parser reads, ten times as fast; some builds of PyYAML lack it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_BYTES = 2 * 1024 * 1024
"""Some 10,000 sites, each with a deployment of its own."""
MAX_NODES = 400_000
"""Keys and values with every alias written out: what ends an alias bomb."""
MAX_DEPTH = 40


@dataclass
class Source:
    """A YAML file that was read.

    Args:
        path: the file, as messages name it.
        document: what `yaml.safe_load` gives.
        root: the same with a mark on every node.
        mistakes: what YAML lets pass and a person never means, such as a key that is written twice.
    """

    path: Path
    document: dict[str, Any]
    root: yaml.MappingNode
    mistakes: list[Diagnostic] = field(default_factory=list)
    unreadable: set[Location] = field(default_factory=set)
    """Where `mistakes` left nothing behind that could be checked further."""
    _index: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = field(default_factory=dict)

    def line_of(self, at: Location) -> int:
        """The line on which the key stands, or, where it is missing, what it is missing from."""
        return self._find(at)[0]

    def text_of(self, at: Location) -> str | None:
        """A plain value as it is written in the file: 1.10, where the document says 1.1."""
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
        InputError: it cannot be read, or is no YAML that one could go on with.
    """
    text = _decode(path, _read(path))
    loader = None
    try:
        _measure(path, text)
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None or root.tag == "tag:yaml.org,2002:null":
            raise _refuse(path, 1, "the file is empty; `nvflare provision -g` writes one to begin with")
        if not isinstance(root, yaml.MappingNode):
            raise _refuse(path, root.start_mark.line + 1, "the file must be a mapping (KEY: VALUE lines)")
        found = Inspection()
        found.inspect(root)
        return Source(path, loader.construct_document(root), root, found.mistakes, found.unreadable)
    except yaml.YAMLError as error:
        raise _no_yaml(path, text, error) from None
    finally:
        if loader is not None:
            loader.dispose()


def _refuse(path: Path, line: int, text: str) -> InputError:
    return InputError(f"{path}:{line}: {text}")


def _read(path: Path) -> bytes:
    try:
        if not path.exists():
            raise InputError(
                f"{path}: there is no such file. Name yours (flarefleet --project FILE), or write one: "
                "`nvflare provision -g` makes an example"
            )
        if not path.is_file():
            raise InputError(
                f"{path}: this is no file; name the project.yml itself (flarefleet --project FILE)"
            )
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise _refuse(
            path, 1, f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB; is it a project.yml at all?"
        )
    return data


def _decode(path: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refuse(
            path, line, f"byte {data[error.start]:#04x} is not UTF-8; save the file as UTF-8 text"
        ) from None
    if match := Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, match.start()) + 1
        raise _refuse(
            path, line, f"character {ord(match.group()):#04x} does not belong into a text file; remove it"
        )
    return text


def _no_yaml(path: Path, text: str, error: Any) -> InputError:
    """The parser's own words, where they apply, and what the usual reason is."""
    began = getattr(error, "context_mark", None)
    mark = getattr(error, "problem_mark", None) or began
    lines = text.splitlines() or [""]
    line = min(mark.line, len(lines) - 1) if mark else 0
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    where = f" ({error.context}, begun in line {began.line + 1})" if began and began.line < line else ""
    hint = (
        "; indent with spaces, not tabs"
        if "\t" in lines[line]
        else "; look for a missing colon, quote or bracket"
    )
    return _refuse(path, line + 1, f"this is no YAML: {problem}{where}{hint}")


@dataclass
class _Open:
    """A mapping or list that the parser is in: how large and deep it is with its aliases written out."""

    anchor: str | None
    size: int = 1
    depth: int = 1

    def take(self, size: int, depth: int) -> None:
        self.size += size
        self.depth = max(self.depth, depth + 1)


def _measure(path: Path, text: str) -> None:
    """Refuse what would take no end of memory or stack, before anything is built of it."""
    within = [_Open(None)]
    anchors: dict[str | None, tuple[int, int]] = {}
    total = 0
    events: Any = yaml.parse(text, _Loader)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            within.append(_Open(event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = within.pop()
            within[-1].take(closed.size, closed.depth)
            if closed.anchor:
                anchors[closed.anchor] = (closed.size, closed.depth)
        elif isinstance(event, yaml.AliasEvent):
            if any(parent.anchor == event.anchor for parent in within):
                raise _refuse(
                    path, line, f"alias *{event.anchor} stands within what it names, so it has no end"
                )
            size, depth = anchors.get(event.anchor, (1, 0))
            within[-1].take(size, depth)
            total += size
        elif isinstance(event, yaml.ScalarEvent):
            within[-1].take(1, 0)
            total += 1
            if event.anchor:
                anchors[event.anchor] = (1, 0)
        if len(within) + within[-1].depth > MAX_DEPTH:
            raise _refuse(path, line, f"more than {MAX_DEPTH} levels within each other; a project.yml has 8")
        if total > MAX_NODES:
            raise _refuse(path, line, f"more than {MAX_NODES} values once every alias is written out")
