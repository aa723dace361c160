"""The YAML of project.yml: its plain document, the line of each thing in it, and what YAML lets pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import Reader

from deploy.errors import InputError
from deploy.project.mistakes import Location, Mistake, shown

# libyaml reads what PyYAML's own parser reads, ten times as fast; some builds of PyYAML lack it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_BYTES = 2 * 1024 * 1024
"""Some 10,000 sites, each with a deployment of its own."""
MAX_NODES = 400_000
"""Keys and values with every alias written out: what ends an alias bomb."""
MAX_DEPTH = 40

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {f"{_TAG}{kind}" for kind in ("str", "null", "bool", "int", "float", "timestamp", "map", "seq")}
_MERGE = f"{_TAG}merge"


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
    mistakes: list[Mistake] = field(default_factory=list)
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
        if root is None:
            raise _refuse(path, 1, "the file is empty; `nvflare provision -g` writes one to begin with")
        if not isinstance(root, yaml.MappingNode):
            raise _refuse(path, root.start_mark.line + 1, "the file must be a mapping (KEY: VALUE lines)")
        found = _Inspection(loader)
        found.inspect(root)
        return Source(path, loader.construct_document(root), root, found.mistakes, found.unreadable)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
        raise _refuse(
            path, mark.line + 1 if mark else 1, f"this is no YAML: {problem}{_hint(text, mark)}"
        ) from None
    finally:
        if loader is not None:
            loader.dispose()


def _refuse(path: Path, line: int, text: str) -> InputError:
    return InputError(f"{path}:{line}: {text}")


def _read(path: Path) -> bytes:
    if not path.exists():
        raise InputError(
            f"{path}: there is no such file. Name yours (flarefleet --project FILE), or write one: "
            "`nvflare provision -g` makes an example"
        )
    if not path.is_file():
        raise InputError(f"{path}: this is no file; name the project.yml itself (flarefleet --project FILE)")
    try:
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


def _hint(text: str, mark: yaml.Mark | None) -> str:
    """What the usual reasons are: tabs, and a missing quote."""
    lines = text.splitlines()
    if mark is None or mark.line >= len(lines):
        return ""
    return "; indent with spaces, not tabs" if "\t" in lines[mark.line] else ""


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


class _Inspection:
    """Looks at each node once; takes out what could not be built, so that all else can still be checked."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._seen: set[int] = set()
        self.mistakes: list[Mistake] = []
        self.unreadable: set[Location] = set()

    def inspect(self, root: yaml.Node) -> None:
        self._visit(root, ())

    def _visit(self, node: yaml.Node, at: Location) -> None:
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        if node.tag not in _PLAIN_TAGS and node.tag != _MERGE:
            self._report(
                node,
                at,
                f"the YAML tag {shown(node.tag)} is not for project.yml; remove it, or quote the value",
            )
        elif isinstance(node, yaml.MappingNode):
            self._visit_mapping(node, at)
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self._visit(item, (*at, number))
        else:
            self._visit_scalar(node, at)

    def _visit_mapping(self, node: yaml.MappingNode, at: Location) -> None:
        if node.tag != f"{_TAG}map":
            self._report(node, at, "the YAML tag does not fit a mapping; remove it")
            return
        lines: dict[str, int] = {}
        kept = []
        for key, value in node.value:
            if key.tag == _MERGE:
                self._visit_merge(value, at)
            elif not isinstance(key, yaml.ScalarNode) or key.tag != f"{_TAG}str":
                self._report_key(key, at)
                continue
            elif key.value in lines:
                first = lines[key.value]
                self._report(
                    key, (*at, key.value), f"written twice (first in line {first}); keep one", blank=False
                )
                continue
            else:
                lines[key.value] = key.start_mark.line + 1
                self._visit(value, (*at, key.value))
            kept.append((key, value))
        node.value = kept

    def _visit_merge(self, value: yaml.Node, at: Location) -> None:
        """Every mapping that `<<` takes in; PyYAML itself refuses what is none."""
        parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for part in parts:
            self._visit(part, at)

    def _report_key(self, key: yaml.Node, at: Location) -> None:
        if isinstance(key, yaml.ScalarNode):
            self._report(
                key, at, f"a key must be text, not {key.value[:40]!r}; put it in quotes", blank=False
            )
        else:
            self._report(key, at, "a key must be text, not a mapping or a list", blank=False)

    def _visit_scalar(self, node: yaml.Node, at: Location) -> None:
        if node.tag == f"{_TAG}str":
            return
        try:
            value = self._loader.construct_object(node)
        except Exception:  # PyYAML lets whatever int(), float() and datetime raise through
            self._report(node, at, f"{shown(node.value)} is not what it looks like; put it in quotes")
            return
        if isinstance(value, int) and abs(value) >= 2**63:
            self._report(node, at, "the number is too large")

    def _report(self, node: yaml.Node, at: Location, text: str, *, blank: bool = True) -> None:
        self.mistakes.append(Mistake(at, text, node.start_mark.line + 1))
        if blank:
            self.unreadable.add(at)
            node.__class__, node.tag, node.value = yaml.ScalarNode, f"{_TAG}str", "-"
