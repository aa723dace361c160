"""Validation of `builders`: each class exists and accepts its arguments. No code of a builder is executed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any, NamedTuple

from deploy.project.participant_schema import Section
from deploy.project.schema import CertArguments, EncryptionArguments, StaticFilesArguments
from deploy.project.validation.diagnostics import Choices, Diagnostic, Location, quoted
from deploy.project.validation.entries import mapping_of, text_at
from deploy.project.validation.schema_errors import TextOf, parse

_IMPL = "nvflare.lighter.impl"
WORKSPACE_BUILDER = f"{_IMPL}.workspace.WorkspaceBuilder"
STATIC_FILE_BUILDER = f"{_IMPL}.static_file.StaticFileBuilder"
CERT_BUILDER = f"{_IMPL}.cert.CertBuilder"
SIGNATURE_BUILDER = f"{_IMPL}.signature.SignatureBuilder"
HE_BUILDER = f"{_IMPL}.he.HEBuilder"
REQUIRED = (WORKSPACE_BUILDER, STATIC_FILE_BUILDER, CERT_BUILDER)
SUPPORTED = (
    *REQUIRED,
    SIGNATURE_BUILDER,
    HE_BUILDER,
    f"{_IMPL}.docker.DockerBuilder",
    f"{_IMPL}.aws.AWSBuilder",
    f"{_IMPL}.azure.AzureBuilder",
    f"{_IMPL}.template.TemplateBuilder",
)
_UNSUPPORTED = {
    f"{_IMPL}.edge.EdgeBuilder": "Flarefleet does not support edge federations; remove the builder",
}
_MOST_BUILDERS = 50
_ARGUMENTS: dict[str, type[Section]] = {
    STATIC_FILE_BUILDER: StaticFilesArguments,
    CERT_BUILDER: CertArguments,
    HE_BUILDER: EncryptionArguments,
}


class Signature(NamedTuple):
    """The arguments of a class. If it is `open_ended`, the class may accept others, which are unknown."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    open_ended: bool


_UNKNOWN_SIGNATURE = Signature((), (), open_ended=True)


def validate_builders(builders: Sequence[Any], folder: Path, text_of: TextOf) -> Iterator[Diagnostic]:
    """Validate `builders`, beyond keys and types.

    Args:
        folder: searched for custom classes, in addition to Python's path.
        text_of: returns a value as written in the file.
    """
    if len(builders) > _MOST_BUILDERS:
        yield Diagnostic(("builders",), f"{len(builders)} builders; at most {_MOST_BUILDERS} are allowed")
        return
    paths = [path for builder in builders if (path := text_at(builder, "path"))]
    for number, builder in enumerate(builders):
        if isinstance(builder, dict) and isinstance(builder.get("path"), str):
            yield from _builder(builder, ("builders", number), folder, text_of)
    yield from _order([text_at(builder, "path") for builder in builders])
    if any(not path.startswith("nvflare.") for path in paths):
        return  # a custom builder may replace any of NVFlare's
    choices = Choices(SUPPORTED)
    misspelt = {choices.closest(path) for path in paths if signature_of(path, str(folder)) is None}
    for required in REQUIRED:
        if required not in paths and required not in misspelt:
            yield Diagnostic(("builders",), f"{required} is missing, and kits require it; add it as a path")


def _order(paths: list[str]) -> Iterator[Diagnostic]:
    """Require one HEBuilder, in a kit that exists, and signed: NVFlare refuses an unsigned context."""
    found = [number for number, path in enumerate(paths) if path == HE_BUILDER]
    if not found:
        return
    first, *others = found
    if WORKSPACE_BUILDER in paths[first:]:
        yield Diagnostic(
            ("builders", first, "path"),
            f"requires {WORKSPACE_BUILDER} before it, which makes the folders of the kits; write it below",
        )
    if SIGNATURE_BUILDER not in paths[first:]:
        is_listed = SIGNATURE_BUILDER in paths
        remedy = "write it above that builder" if is_listed else "add SignatureBuilder below it"
        yield Diagnostic(
            ("builders", first, "path"),
            f"requires {SIGNATURE_BUILDER} after it, because NVFlare uses only a signed context of "
            f"homomorphic encryption; {remedy}",
        )
    for number in others:
        yield Diagnostic(
            ("builders", number, "path"),
            f"is a second HEBuilder (first: builders[{first}]), and a federation has one key of homomorphic "
            "encryption; remove it",
        )


def _builder(builder: dict[str, Any], at: Location, folder: Path, text_of: TextOf) -> Iterator[Diagnostic]:
    path: str = builder["path"]
    if path in _UNSUPPORTED:
        yield Diagnostic((*at, "path"), _UNSUPPORTED[path])
    elif path.startswith("nvflare.lighter.cc_provision."):
        text = "Flarefleet does not support confidential computing; remove the builder"
        yield Diagnostic((*at, "path"), text)
    elif (signature := signature_of(path, str(folder))) is None:
        likely = Choices(SUPPORTED).closest(path)
        remedy = (
            f"; did you mean {likely}?" if likely else " on Python's path or beside this file; install it"
        )
        yield Diagnostic((*at, "path"), f"no class {quoted(path)}{remedy}")
    else:
        if path == WORKSPACE_BUILDER:
            yield from _templates(mapping_of(builder.get("args")), (*at, "args", "template_file"))
        yield from _arguments(path, builder.get("args"), signature, (*at, "args"), text_of)


def _templates(arguments: Any, at: Location) -> Iterator[Diagnostic]:
    """Validate the names of templates, which NVFlare loads from a folder in its package."""
    written = arguments.get("template_file")
    package = _source_of("nvflare.lighter", "")
    if written is None or package is None:
        return
    templates = sorted(file.name for file in (package.parent / "templates").glob("*.yml"))
    for number, name in enumerate(written if isinstance(written, list) else [written]):
        if name not in templates:
            where = (*at, number) if isinstance(written, list) else at
            hint = Choices(templates).hint(str(name), "templates")
            yield Diagnostic(where, f"NVFlare has no template {quoted(name)}; {hint}")


def _arguments(
    path: str, written: object, signature: Signature, at: Location, text_of: TextOf
) -> Iterator[Diagnostic]:
    arguments = {} if written is None else written
    if not isinstance(arguments, dict):
        return
    name = path.rpartition(".")[2]
    # NVFlare's StaticFileBuilder accepts any argument and ignores those it does not know.
    accepts_any = signature.open_ended and not path.startswith("nvflare.")
    for key in arguments:
        if key not in signature.names and not accepts_any:
            label = f"the arguments of {name} are"
            yield Diagnostic(
                (*at, key), f"unknown argument; {Choices(signature.names).hint(str(key), label)}"
            )
    for key in signature.required:
        if key not in arguments and not signature.open_ended:
            yield Diagnostic(at, f"{name} requires the argument {key}; add it")
    if path in _ARGUMENTS:
        yield from parse(_ARGUMENTS[path], arguments, at, text_of)[1]


@cache
def signature_of(path: str, folder: str) -> Signature | None:
    """Return the arguments of a class, read from its source; None if there is no such class."""
    module, _, name = path.rpartition(".")
    if not module or not all(part.isidentifier() for part in path.split(".")):
        return None
    source = _source_of(module, folder)
    if source is None:
        return None
    if source.suffix != ".py":
        return _UNKNOWN_SIGNATURE
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _signature(node)
    # The module may import the class or assign it to a variable.
    is_bound = any(
        isinstance(node, ast.ImportFrom | ast.Assign) and name in _bound_names(node) for node in tree.body
    )
    return _UNKNOWN_SIGNATURE if is_bound else None


def _source_of(module: str, folder: str) -> Path | None:
    """Return the file of a module, without importing its packages."""
    path: list[str] = [*sys.path, folder]
    spec = None
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        spec = _find_spec(".".join(parts[:count]), path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    return Path(spec.origin) if spec and spec.origin else None


def _find_spec(name: str, path: list[str]) -> ModuleSpec | None:
    """Find a module on the path, or with other finders, such as those of editable installs."""
    finders = (PathFinder, *(finder for finder in sys.meta_path if finder is not PathFinder))
    specs = (finder.find_spec(name, path) for finder in finders if hasattr(finder, "find_spec"))
    return next((spec for spec in specs if spec is not None), None)


def _signature(node: ast.ClassDef) -> Signature:
    init = next(
        (part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None
    )
    if init is None:
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        return Signature((), (), open_ended=bases != ["Builder"])
    arguments = init.args
    positional = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]][1:]
    keyword = [argument.arg for argument in arguments.kwonlyargs]
    required = positional[: len(positional) - len(arguments.defaults)]
    required += [
        name for name, default in zip(keyword, arguments.kw_defaults, strict=True) if default is None
    ]
    return Signature((*positional, *keyword), tuple(required), open_ended=arguments.kwarg is not None)


def _bound_names(node: ast.ImportFrom | ast.Assign) -> set[str]:
    if isinstance(node, ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    return {target.id for target in node.targets if isinstance(target, ast.Name)}
