"""Check the private names that Flarefleet uses against the source of an NVFlare release.

    python -m fl_app.nvflare_internals.self_check

prints a table of the missing names, and exits with status 1 if there are any. The check reads source files
and imports nothing: a parent runs it at every start.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_STATEMENT = re.compile(r"^(?=[A-Za-z_@])", re.MULTILINE)
"""Start of a statement of a module that is not inside another one."""
_NAME = re.compile(r"(?:async def|def|class)\s+(\w+)\b|(\w+)\s*[:=]")
_BASES = re.compile(r"class \w+\s*\(([^)]*)\)")
_BASE = re.compile(r"(?:^|,)\s*(?:\w+\.)*(\w+)\s*(?=,|$)")
_MEMBER = re.compile(
    r"^ +(?:(?:async def|def|class) +(\w+)\b|(\w+) *[:=])|\bself\.(\w+)\s*(?:[:,]|=(?!=))", re.MULTILINE
)
_IMPORT = re.compile(r"from ([\w.]+) import (?:\(([^)]*)\)|([^\n]*))")


@dataclass(frozen=True)
class PrivateName:
    """A private name of NVFlare that Flarefleet depends on."""

    name: str
    """MODULE:ATTRIBUTE.PATH, or `log:MODULE:TEXT` for a text of its source: a log text that
    Flarefleet parses, or a statement that it changes."""
    purpose: str


def declared_names() -> tuple[PrivateName, ...]:
    """Return the `USES` of every module of this package, without importing the modules.

    Raises:
        ValueError: a `USES` is not a literal.
    """
    found = [
        PrivateName(name, purpose)
        for file in sorted(Path(__file__).parent.glob("*.py"))
        for name, purpose in _uses_in(file).items()
    ]
    return tuple(sorted(found, key=lambda one: one.name.removeprefix("log:")))


def _uses_in(file: Path) -> dict[str, str]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="USES")], value=value):
                return dict(ast.literal_eval(value))
    return {}


def installed_root() -> Path:
    """Return the folder that contains the installed nvflare package."""
    spec = importlib.util.find_spec("nvflare")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("nvflare is not installed", name="nvflare")
    return Path(spec.origin).parents[1]


def missing_names(root: Path, names: Iterable[PrivateName] | None = None) -> list[PrivateName]:
    """Return the names that the packages below `root` do not define.

    Args:
        root: folder that contains nvflare/, such as site-packages or an unpacked wheel.
        names: names to look up; the default is every declared name. Names of packages that are not below
            `root`, such as Flower's, are skipped.
    """
    names = declared_names() if names is None else names
    return [one for one in names if not _exists(root, one.name)]


def _exists(root: Path, name: str) -> bool:
    if name.startswith("log:"):
        _, module, text = name.split(":", 2)
        return not _is_installed(root, module) or text in _source(root, module)
    module, _, path = name.partition(":")
    return not _is_installed(root, module) or _defines(root, module, path.split("."))


@cache
def _is_installed(root: Path, module: str) -> bool:
    return (root / module.partition(".")[0]).is_dir()


@cache
def _source(root: Path, module: str) -> str:
    path = root.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return ""


def _defines(root: Path, module: str, path: list[str]) -> bool:
    """Return whether a module defines NAME, or CLASS.MEMBER in the class or one of its base classes."""
    name, *members = path
    found = _definitions(root, module)
    origin = found.imported.get(name)
    if not members:
        return name in found.names or origin is not None
    if name not in found.classes:
        return origin is not None and _defines(root, origin[0], [origin[1], *members])
    bases, own = _class(found.classes[name])
    return members[0] in own or any(
        _defines(root, module, [base, *members]) for base in bases if base != name
    )


@dataclass
class _Definitions:
    """What a module defines and imports."""

    names: set[str] = field(default_factory=set)
    classes: dict[str, str] = field(default_factory=dict)
    """Source of each class."""
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Imported name -> the module that it is imported from, and its name there."""


@cache
def _definitions(root: Path, module: str) -> _Definitions:
    found = _Definitions()
    for statement in _STATEMENT.split(_source(root, module)):
        if imports := _IMPORT.match(statement):
            for item in (imports[2] or imports[3] or "").split(","):
                original, _, alias = (part.strip() for part in item.partition(" as "))
                found.imported[alias or original] = imports[1], original
        elif match := _NAME.match(statement):
            found.names.add(match[1] or match[2])
            if statement.startswith("class "):
                found.classes[match[1]] = statement
    return found


@cache
def _class(source: str) -> tuple[list[str], set[str]]:
    """Return the names of the base classes of a class, and of the members that it defines itself."""
    bases = _BASES.match(source)
    members = {one[1] or one[2] or one[3] for one in _MEMBER.finditer(source)}
    return _BASE.findall(bases[1]) if bases else [], members


def table(names: Iterable[PrivateName]) -> str:
    """Return a Markdown table of the names and their purposes."""
    rows = [f"| `{one.name}` | {one.purpose} |" for one in names]
    return "\n".join(["| name | purpose |", "|---|---|", *rows])


def main() -> int:
    """Check the installed release, print a table of the missing names, and return the exit status."""
    missing = missing_names(installed_root())
    if missing:
        print(table(missing))
    print(f"{len(missing)} of {len(declared_names())} names are missing", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
