"""Checks of what the job `numpy-fedavg` is given, all of them before anything is submitted."""

from __future__ import annotations

import importlib.util
import inspect
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_NUMBERS = 1_000_000
"""Of an initial model: it travels as text in the job's configuration."""

_FLOAT32 = np.finfo(np.float32).max
_CONDITION = re.compile(r"(?P<key>\S+) (?P<operator><=|>=|<|>|=) (?P<value>\S+)")


def initial_model(given: list[Any] | str) -> NDArray[np.float64]:
    """The array that a list or a .npy file holds.

    Raises:
        ValueError: no such file, no rectangle of numbers, empty, too large, or not finite as 32-bit floats.
    """
    array = _load(given) if isinstance(given, str) else _as_array(given)
    if array.ndim == 0 or array.size == 0:
        raise ValueError("the initial model is empty: give at least one number, such as [0, 0, 0]")
    if array.size > MOST_NUMBERS:
        raise ValueError(f"the initial model has {array.size} numbers; at most {MOST_NUMBERS} can travel")
    if not np.all(np.abs(array) <= _FLOAT32):
        raise ValueError("the initial model has a number that is not finite as a 32-bit float")
    return array


def _load(path: str) -> NDArray[np.float64]:
    file = Path(path)
    if file.suffix != ".npy" or not file.is_file():
        raise ValueError(f"{path}: must be a list of numbers, or a file .npy that exists")
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: is no array of NumPy's: {error}") from None
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: holds {array.dtype}, not numbers")
    return np.asarray(array, dtype=np.float64)


def _as_array(numbers: list[Any]) -> NDArray[np.float64]:
    for number in _flat(numbers):
        if type(number) not in (int, float):
            raise ValueError(f"the initial model has {number!r}, which is no number")
    try:
        return np.asarray(numbers, dtype=np.float64)
    except (ValueError, OverflowError):
        raise ValueError("the initial model's rows differ in length, or a number is too large") from None


def _flat(value: Any) -> list[Any]:
    return [number for inner in value for number in _flat(inner)] if isinstance(value, list) else [value]


def script(path: str) -> str:
    """The absolute path of a training script.

    Raises:
        ValueError: it is no file .py, or no Python.
    """
    file = Path(path).expanduser().absolute()
    if file.suffix != ".py" or not file.is_file():
        raise ValueError(f"{path}: must be a Python file that exists")
    try:
        compile(file.read_bytes(), str(file), "exec")
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path}: is no Python: {error}") from None
    return str(file)


def words(text: str) -> str:
    """Words of a command line, as they are.

    Raises:
        ValueError: a quotation does not end.
    """
    try:
        shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    return text


def pattern(text: str) -> str:
    """A regular expression, as it is.

    Raises:
        ValueError: it is none.
    """
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None
    return text


def condition(text: str) -> tuple[str, str]:
    """The metric and the operator of a condition such as `accuracy >= 0.9`.

    Raises:
        ValueError: it is none.
    """
    match = _CONDITION.fullmatch(text)
    try:
        if match is None or not np.isfinite(float(match["value"])):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{text!r} is no condition: METRIC OPERATOR NUMBER with single spaces, such as 'loss <= 0.1'"
        ) from None
    return match["key"], match["operator"]


def aggregator(reference: str) -> Any:
    """An aggregator from FILE.py:CLASS.

    Raises:
        ValueError: no such file or class, no ModelAggregator of NVFlare's, or it needs arguments.
    """
    from nvflare.app_common.aggregators.model_aggregator import ModelAggregator

    path, _, name = reference.rpartition(":")
    module = _imported(Path(script(path)))
    found = getattr(module, name, None)
    if not inspect.isclass(found):
        raise ValueError(f"{path} has no class {name}")
    if not issubclass(found, ModelAggregator) or inspect.isabstract(found):
        raise ValueError(
            f"{name} must be a subclass of nvflare.app_common.aggregators.model_aggregator.ModelAggregator "
            "with accept_model, aggregate_model and reset_stats"
        )
    try:
        return found()
    except TypeError as error:
        raise ValueError(f"{name} cannot be made without arguments: {error}") from None


def aggregator_reference(text: str) -> str:
    """`mean`, `median`, or FILE.py:CLASS with an absolute path.

    Raises:
        ValueError: it is none of these.
    """
    if text in ("mean", "median"):
        return text
    path, colon, name = text.rpartition(":")
    if not colon or not name.isidentifier():
        raise ValueError(f"{text!r}: must be mean, median, or FILE.py:CLASS")
    return f"{script(path)}:{name}"


def _imported(file: Path) -> ModuleType:
    """The module of a file; NVFlare copies it into the job under the file's name."""
    if importlib.util.find_spec(file.stem) is not None:
        raise ValueError(f"{file.name}: there is a package {file.stem} already; give the file another name")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{file}: cannot be imported: {type(error).__name__}: {error}") from None
    return module
