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
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_CLASS = r"^class {name}\b\s*(?:\((?P<bases>[^)]*)\))?(?P<body>.*?)(?=^[A-Za-z@]|\Z)"
_TOP_LEVEL = r"^(?:async def|def|class)\s+{name}\b|^{name}\s*[:=]"
_MEMBER = r"^\s+(?:async def|def|class)\s+{name}\b|^\s+{name}\s*[:=]|\bself\.{name}\s*(?:[:,]|=(?!=))"
_IMPORT = r"^from (?P<module>[\w.]+) import (?:\((?P<many>[^)]*)\)|(?P<few>[^\n]*))"


@dataclass(frozen=True)
class PrivateName:
    """A private name of NVFlare that Flarefleet depends on."""

    name: str
    """MODULE:ATTRIBUTE.PATH, or `log:MODULE:TEXT` for a log text that Flarefleet parses."""
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
    source = _source(root, module)
    name, *members = path
    if not members:
        found = re.search(_TOP_LEVEL.format(name=name), source, re.MULTILINE)
        return found is not None or _imported_from(source, name) is not None
    definition = re.search(_CLASS.format(name=name), source, re.MULTILINE | re.DOTALL)
    if definition is None:
        origin = _imported_from(source, name)
        return origin is not None and _defines(root, origin[0], [origin[1], *members])
    if re.search(_MEMBER.format(name=members[0]), definition["body"], re.MULTILINE):
        return True
    bases = re.findall(r"(?:^|,)\s*(?:\w+\.)*(\w+)\s*(?=,|$)", definition["bases"] or "")
    return any(_defines(root, module, [base, *members]) for base in bases if base != name)


def _imported_from(source: str, name: str) -> tuple[str, str] | None:
    """Return the module that `name` is imported from, and its name there."""
    for statement in re.finditer(_IMPORT, source, re.MULTILINE):
        for item in (statement["many"] or statement["few"] or "").split(","):
            original, _, alias = item.partition(" as ")
            if name == (alias or original).strip():
                return statement["module"], original.strip()
    return None


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
