"""Private names of NVFlare are used only in `fl_app.nvflare_internals`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_app.nvflare_internals.self_check import PrivateName, installed_root, missing_names

ROOT = Path(__file__).parents[3]
INTERNALS = ROOT / "fl_app" / "nvflare_internals"
FILES = [
    file
    for package in ("deploy", "fl_app")
    for file in sorted((ROOT / package).glob("**/*.py"))
    if INTERNALS not in file.parents
]
_PUBLIC = {"_exit", "_run_exitfuncs", "_make", "_asdict", "_replace", "_fields"}
"""Names of the standard library."""


def violations(tree: ast.Module) -> Iterator[str]:
    """Yield each use of a private name of NVFlare."""
    nodes = list(ast.walk(tree))
    imported = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nvflare")
        for alias in node.names
    }
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    own |= {
        node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)) if text.startswith("nvflare.private"):
                yield f"line {node.lineno}: {text}"
            case ast.Import() | ast.ImportFrom() if "nvflare.private" in ast.unparse(node):
                yield f"line {node.lineno}: {ast.unparse(node)}"
            case ast.ClassDef():
                bases = [
                    imported[one.id] for one in node.bases if isinstance(one, ast.Name) and one.id in imported
                ]
                yield from _members_of_bases(node, bases)
            case ast.Attribute(value=ast.Name(id="self" | "cls") | ast.Call()):
                pass
            case ast.Attribute(attr=name) if _is_private(name) and name not in own | _PUBLIC:
                yield f"line {node.lineno}: {ast.unparse(node)}"


def _members_of_bases(node: ast.ClassDef, bases: list[str]) -> Iterator[str]:
    """Yield the private members of NVFlare's classes that a subclass defines, assigns, reads or calls."""
    members: dict[str, int] = {}
    for child in ast.walk(node):
        name = getattr(child, "name", getattr(child, "attr", None))
        if isinstance(child, ast.FunctionDef | ast.Attribute) and _is_private(str(name)):
            members.setdefault(str(name), child.lineno)
    for name, line in members.items():
        if any(not missing_names(installed_root(), [PrivateName(f"{base}.{name}", "")]) for base in bases):
            yield f"line {line}: {name} is private in a base class of {node.name}"


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_private_names_are_used_only_in_nvflare_internals() -> None:
    found = {
        str(file.relative_to(ROOT)): uses
        for file in FILES
        if (uses := list(violations(ast.parse(file.read_text(encoding="utf-8")))))
    }

    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "from nvflare.private.defs import CellChannel",
        "import nvflare.private.defs",
        "MODULE = 'nvflare.private.defs'",
        "from nvflare.apis.impl.wf_comm_server import WFCommServer\n"
        "class Mine(WFCommServer):\n    def f(self): self._cleanup_inflight_tensor_downloads(1)",
        "from nvflare.apis.impl.wf_comm_server import WFCommServer\n"
        "class Mine(WFCommServer):\n    def _cleanup_inflight_tensor_downloads(self): ...",
        "def f(recipe): return recipe._job",
    ],
)
def test_a_private_name_is_recognized(text: str) -> None:
    assert list(violations(ast.parse(text)))
