"""The builders of project.yml: whether each class exists and takes its arguments; nothing of it runs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, NamedTuple

from deploy.project.schema import CertArguments, Section, StaticFilesArguments
from deploy.project.validation.diagnostics import Diagnostic, Known, Location, did_you_mean, meant, shown
from deploy.project.validation.entries import text_at
from deploy.project.validation.schema_errors import TextOf, validate

_IMPL = "nvflare.lighter.impl"
WORKSPACE_BUILDER = f"{_IMPL}.workspace.WorkspaceBuilder"
STATIC_FILE_BUILDER = f"{_IMPL}.static_file.StaticFileBuilder"
CERT_BUILDER = f"{_IMPL}.cert.CertBuilder"
NEEDED = (WORKSPACE_BUILDER, STATIC_FILE_BUILDER, CERT_BUILDER)
CARRIED = (
    *NEEDED,
    f"{_IMPL}.signature.SignatureBuilder",
    f"{_IMPL}.docker.DockerBuilder",
    f"{_IMPL}.aws.AWSBuilder",
    f"{_IMPL}.azure.AzureBuilder",
    f"{_IMPL}.template.TemplateBuilder",
)
_NOT_CARRIED = {
    f"{_IMPL}.edge.EdgeBuilder": "Flarefleet carries no edge federation; take the builder out",
    f"{_IMPL}.he.HEBuilder": (
        "Flarefleet carries no homomorphic encryption: its context is a secret that every site would hold in "
        "its kit; take the builder out"
    ),
}
_MOST = 50
_ARGUMENTS: dict[str, type[Section]] = {
    STATIC_FILE_BUILDER: StaticFilesArguments,
    CERT_BUILDER: CertArguments,
}


class Signature(NamedTuple):
    """What a class takes. `open_ended`: more than its source says, as it hands arguments on."""

    names: tuple[str, ...]
    needed: tuple[str, ...]
    open_ended: bool


def builder_mistakes(builders: Sequence[Any], folder: Path, text_of: TextOf) -> Iterator[Diagnostic]:
    """What is wrong with the builders, beyond the shape of their entries.

    Args:
        builders: as the document holds them.
        folder: where classes of one's own may lie, besides Python's path.
    """
    if len(builders) > _MOST:
        yield Diagnostic(
            ("builders",), f"{len(builders)} builders; a project.yml has four, and {_MOST} at most"
        )
        return
    paths = [path for builder in builders if (path := text_at(builder, "path"))]
    for number, builder in enumerate(builders):
        if isinstance(builder, dict) and isinstance(builder.get("path"), str):
            yield from _one(builder, ("builders", number), folder, text_of)
    if any(not path.startswith("nvflare.") for path in paths):
        return  # a builder of one's own may stand for any of NVFlare's
    misspelt = {did_you_mean(path, CARRIED) for path in paths if signature_of(path, str(folder)) is None}
    for needed in NEEDED:
        if needed not in paths and needed not in misspelt:
            yield Diagnostic(
                ("builders",), f"{needed} is missing: without it there are no kits; add it as a path"
            )


def _one(builder: dict[str, Any], at: Location, folder: Path, text_of: TextOf) -> Iterator[Diagnostic]:
    path: str = builder["path"]
    place = (*at, "path")
    if path in _NOT_CARRIED:
        yield Diagnostic(place, _NOT_CARRIED[path])
        return
    if path.startswith("nvflare.lighter.cc_provision."):
        yield Diagnostic(place, "Flarefleet carries no confidential computing; take the builder out")
        return
    signature = signature_of(path, str(folder))
    if signature is None:
        if likely := did_you_mean(path, CARRIED):
            yield Diagnostic(place, f"there is no class {shown(path)}; did you mean {likely}?")
        else:
            yield Diagnostic(
                place, f"there is no class {shown(path)} on Python's path or beside this file; install it"
            )
        return
    if path == WORKSPACE_BUILDER:
        yield from _templates(builder.get("args"), (*at, "args", "template_file"))
    yield from _arguments(path, builder.get("args"), signature, (*at, "args"), text_of)


def _templates(arguments: object, at: Location) -> Iterator[Diagnostic]:
    """NVFlare loads each template from a folder of its own."""
    written = arguments.get("template_file") if isinstance(arguments, dict) else None
    package = _origin("nvflare.lighter", "")
    if written is None or package is None:
        return
    known = Known(sorted(file.name for file in (package.parent / "templates").glob("*.yml")))
    for number, name in enumerate(written if isinstance(written, list) else [written]):
        if not known.has(name):
            place = (*at, number) if isinstance(written, list) else at
            yield Diagnostic(place, f"NVFlare has no template {shown(name)}; {known.hint(str(name))}")


def _arguments(
    path: str, written: object, signature: Signature, at: Location, text_of: TextOf
) -> Iterator[Diagnostic]:
    arguments = {} if written is None else written
    if not isinstance(arguments, dict):
        return
    name = path.rpartition(".")[2]
    # NVFlare's StaticFileBuilder swallows whatever it is given; what it does not name does nothing.
    swallows = signature.open_ended and not path.startswith("nvflare.")
    for key in arguments:
        if key not in signature.names and not swallows:
            hint = (
                meant(str(key), signature.names, f"{name} takes") if signature.names else f"{name} takes none"
            )
            yield Diagnostic((*at, key), f"unknown argument; {hint}")
    for key in signature.needed:
        if key not in arguments and not signature.open_ended:
            yield Diagnostic(at, f"{name} needs the argument {key}; add it")
    if path in _ARGUMENTS:
        yield from validate(_ARGUMENTS[path], arguments, at, text_of)[1]


@cache
def signature_of(path: str, folder: str) -> Signature | None:
    """What a class takes, read from its source; None if there is no such class."""
    module, _, name = path.rpartition(".")
    if not module or not all(part.isidentifier() for part in path.split(".")):
        return None
    origin = _origin(module, folder)
    if origin is None:
        return None
    if origin.suffix != ".py":
        return Signature((), (), open_ended=True)
    try:
        tree = ast.parse(origin.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _signature(node)
    # A module may hold a class that it imports, or makes some other way.
    elsewhere = any(
        isinstance(node, ast.ImportFrom | ast.Assign) and name in _bound(node) for node in tree.body
    )
    return Signature((), (), open_ended=True) if elsewhere else None


def _origin(module: str, folder: str) -> Path | None:
    """The file of a module, without importing the packages it lies in."""
    where: Sequence[str] | None = [*sys.path, folder]
    spec = None
    for part in (parts := module.split(".")):
        full = ".".join(parts[: parts.index(part) + 1])
        spec = PathFinder.find_spec(part if where is not None else full, where)
        if spec is None:
            return None
        where = list(spec.submodule_search_locations or ())
    return Path(spec.origin) if spec and spec.origin else None


def _signature(node: ast.ClassDef) -> Signature:
    start = next(
        (part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None
    )
    if start is None:
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        return Signature((), (), open_ended=bases != ["Builder"])
    arguments = start.args
    positional = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]][1:]
    keyword = [argument.arg for argument in arguments.kwonlyargs]
    needed = positional[: len(positional) - len(arguments.defaults)]
    needed += [name for name, default in zip(keyword, arguments.kw_defaults, strict=True) if default is None]
    return Signature((*positional, *keyword), tuple(needed), open_ended=arguments.kwarg is not None)


def _bound(node: ast.ImportFrom | ast.Assign) -> set[str]:
    if isinstance(node, ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    return {target.id for target in node.targets if isinstance(target, ast.Name)}
