"""Import users' code, and report its errors as FILE:LINE with the user's own frames alone."""

from __future__ import annotations

import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from fl_app.missing_tenseal import explain_missing_package


class UserCodeError(ValueError):
    """Code that the user wrote fails. The text starts with `FILE:LINE: error`; the user's frames follow."""


def import_file(name: str, file: Path) -> ModuleType:
    """Import a user's file as the module `name`.

    Raises:
        UserCodeError: the file, or code beside it that it imports, fails.
    """
    explain_missing_package()
    spec = spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # pydantic looks up the types of its fields there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # SystemExit would end the command with any exit code
        del sys.modules[name]
        raise user_code_error(error, file.parent) or error from error
    return module


def check_syntax(file: Path) -> None:
    """Check that a file is valid Python.

    Raises:
        UserCodeError: it is not.
    """
    try:
        compile(file.read_bytes(), str(file), "exec")
    except SyntaxError as error:
        raise UserCodeError(_location(error)) from None
    except ValueError as error:  # a null byte
        raise UserCodeError(f"{file}:1: SyntaxError: {error}") from None


def user_code_error(error: BaseException, folder: Path) -> UserCodeError | None:
    """Describe an exception that code in `folder` raised or caused; None if no code in it took part."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if _is_inside(frame.filename, folder)
    ]
    if isinstance(error, SyntaxError) and error.filename and _is_inside(error.filename, folder):
        first = _location(error)
    elif frames:
        first = f"{frames[-1].filename}:{frames[-1].lineno}: {_name_and_text(error)}"
    else:
        return None
    shown = "".join(traceback.format_list(frames))
    return UserCodeError(f"{first}\n{shown}".rstrip())


def _location(error: SyntaxError) -> str:
    return f"{error.filename}:{error.lineno or 1}: {type(error).__name__}: {error.msg}"


def _name_and_text(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(type(error), error)).strip()


def _is_inside(file: str, folder: Path) -> bool:
    """Return whether a traceback's file is in `folder`, and not in an environment there.

    A name such as <frozen importlib> is not a file.
    """
    path = Path(file).resolve()
    is_installed = "site-packages" in path.parts
    return not file.startswith("<") and not is_installed and folder.resolve() in path.parents
