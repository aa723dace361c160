"""Parameters of a user's own job, read from its source: its code must not run before the user runs it.

Only what a job.py usually contains is understood: PARAMETERS is a class of this file, or of a module of the
job's packages, whose fields are annotated names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from fl_app.jobs import parameters as of_flarefleet
from fl_app.jobs.parameters import JobParameters

Choices = tuple[str, ...]
_NAME = "PARAMETERS"


def own_parameters(job: Path) -> Mapping[str, tuple[str, Choices]]:
    """Return the explanation and the choices of each parameter of a job; none if they are not understood.

    Args:
        job: folder with a job.py, or its job.py.

    Raises:
        OSError, SyntaxError, ValueError: a file cannot be read.
    """
    file = job / "job.py" if job.is_dir() else job
    return {} if file.suffix != ".py" else _Module(file, file.parent).fields(_NAME)


class _Module:
    """The source of a module.

    Args:
        file: its file.
        folder: the folder of the job, from which its packages are imported.
    """

    def __init__(self, file: Path, folder: Path) -> None:
        self._folder = folder
        self._classes: dict[str, ast.ClassDef] = {}
        self._names: dict[str, ast.expr] = {}
        self._imports: dict[str, tuple[str, str]] = {}
        for statement in ast.parse(file.read_bytes()).body:
            match statement:
                case ast.ClassDef():
                    self._classes[statement.name] = statement
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._names[name] = value
                case ast.ImportFrom(module=str(module), level=0, names=names):
                    self._imports |= {one.asname or one.name: (module, one.name) for one in names}

    def fields(self, name: str) -> dict[str, tuple[str, Choices]]:
        """Return the fields of the class that a name stands for, with those of its base classes."""
        if isinstance(value := self._names.get(name), ast.Name):
            return self.fields(value.id)
        if name in self._imports:
            return self._imported(*self._imports[name])
        if (found := self._classes.get(name)) is None:
            return {}
        inherited = [self.fields(base.id) for base in found.bases if isinstance(base, ast.Name)]
        return {key: value for fields in inherited for key, value in fields.items()} | dict(
            self._own_fields(found)
        )

    def _imported(self, module: str, name: str) -> dict[str, tuple[str, Choices]]:
        if module == of_flarefleet.__name__:
            base = getattr(of_flarefleet, name, JobParameters)
            return {key: (field.description or "", ()) for key, field in base.model_fields.items()}
        file = self._folder.joinpath(*module.split("."))
        for candidate in (file.with_suffix(".py"), file / "__init__.py"):
            if candidate.is_file():
                return _Module(candidate, self._folder).fields(name)
        return {}

    def _own_fields(self, found: ast.ClassDef) -> Iterator[tuple[str, tuple[str, Choices]]]:
        for statement, following in zip(found.body, [*found.body[1:], None], strict=True):
            match statement:
                case ast.AnnAssign(target=ast.Name(id=name), annotation=kind) if name[0] != "_":
                    written = ast.unparse(kind)
                    if not written.startswith("ClassVar") and name != "model_config":
                        yield name, (_docstring(following) or written, tuple(self._choices(kind)))

    def _choices(self, annotation: ast.expr) -> Iterator[str]:
        """Yield the values that a field can have, if they can be listed."""
        match annotation:
            case ast.BinOp(left=left, right=right):  # such as Literal["min", "max"] | None
                yield from self._choices(left)
                yield from self._choices(right)
            case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
                yield from self._choices(inner)
            case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[inner, *_])):
                yield from self._choices(inner)
            case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
                for value in values.elts if isinstance(values, ast.Tuple) else [values]:
                    if isinstance(value, ast.Constant):
                        yield str(value.value)
            case ast.Name(id="bool"):
                yield from ("true", "false")
            case ast.Name(id=name) if name in self._names:  # an alias
                yield from self._choices(self._names[name])


def _docstring(statement: ast.stmt | None) -> str:
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return " ".join(text.split())
    return ""
