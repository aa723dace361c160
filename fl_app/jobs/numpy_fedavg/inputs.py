"""Validation of the parameters of `numpy-fedavg`, before anything is submitted."""

from __future__ import annotations

import importlib.util
import inspect
import math
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fl_app.jobs.user_code import check_syntax, import_file, user_code_error
from fl_app.metric_direction import Direction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_NUMBERS = 1_000_000
"""Largest initial model: it travels as text in the job's configuration."""

_FLOAT32 = 3.4028234663852886e38
"""Largest finite 32-bit float."""
_CONDITION = re.compile(r"(?P<key>\S+) (?P<operator><=|>=|<|>) (?P<value>\S+)")


def initial_model(given: list[Any] | str) -> NDArray[np.float64]:
    """Return the array of a list or a .npy file.

    Raises:
        ValueError: the file is missing, or the array is empty, ragged, too large, not numeric, or not finite
            as 32-bit floats.
    """
    import numpy as np

    array = _load(given) if isinstance(given, str) else _as_array(given)
    if array.ndim == 0 or array.size == 0:
        raise ValueError("the initial model is empty: give at least one number, such as [0, 0, 0]")
    if array.size > MAX_NUMBERS:
        raise ValueError(f"the initial model has {array.size} numbers; the maximum is {MAX_NUMBERS}")
    if not np.all(np.abs(array) <= _FLOAT32):
        raise ValueError("the initial model has a number that is not finite as a 32-bit float")
    return array


def _load(path: str) -> NDArray[np.float64]:
    import numpy as np

    file = Path(path)
    if file.suffix != ".npy" or not file.is_file():
        raise ValueError(f"{path}: must be a list of numbers, or a .npy file that exists")
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: is not a NumPy array: {error}") from None
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: holds {array.dtype}, not numbers")
    return np.asarray(array, dtype=np.float64)


def _as_array(numbers: list[Any]) -> NDArray[np.float64]:
    import numpy as np

    for number in _flat(numbers):
        if type(number) not in (int, float):
            raise ValueError(f"the initial model has {number!r}, which is not a number")
    try:
        return np.asarray(numbers, dtype=np.float64)
    except (ValueError, OverflowError):
        raise ValueError("the initial model's rows differ in length, or a number is too large") from None


def _flat(value: Any) -> list[Any]:
    return [number for inner in value for number in _flat(inner)] if isinstance(value, list) else [value]


def script(path: str) -> str:
    """Return the absolute path of a Python file.

    Raises:
        ValueError: it is not a .py file that exists, or not valid Python.
    """
    file = Path(path).expanduser().absolute()
    if file.suffix != ".py" or not file.is_file():
        raise ValueError(f"{path}: must be a Python file that exists")
    check_syntax(file)
    return str(file)


def command_line(text: str) -> str:
    """Return a command line, unchanged; ValueError if a quotation is not closed."""
    try:
        shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    return text


def pattern(text: str) -> str:
    """Return a regular expression, unchanged; ValueError if it is invalid."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return text


def condition(text: str) -> tuple[str, Direction]:
    """Return the metric of a condition such as `accuracy >= 0.9`, and the direction in which it is met.

    Raises:
        ValueError: it is invalid.
    """
    match = _CONDITION.fullmatch(text)
    try:
        if match is None or not math.isfinite(float(match["value"])):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{text!r} is not a condition: METRIC OPERATOR NUMBER with single spaces, such as 'loss <= 0.1'; "
            "operators: < <= > >= (a measured number almost never equals another)"
        ) from None
    return match["key"], "max" if match["operator"].startswith(">") else "min"


def aggregator(reference: str) -> Any:
    """Create the aggregator FILE.py:CLASS.

    NVFlare copies the file into the job and imports it by the file's name.

    Raises:
        UserCodeError: the file, or the constructor of the class, fails.
        ValueError: the class is missing, is not a ModelAggregator, lacks a method, or needs arguments.
    """
    from nvflare.app_common.aggregators.model_aggregator import ModelAggregator

    path, _, name = reference.rpartition(":")
    file = Path(script(path))
    if importlib.util.find_spec(file.stem) is not None:
        raise ValueError(f"{file.name}: another package has the name {file.stem}; rename the file")
    found = getattr(import_file(file.stem, file), name, None)
    if not (inspect.isclass(found) and issubclass(found, ModelAggregator)):
        base = "nvflare.app_common.aggregators.model_aggregator.ModelAggregator"
        raise ValueError(f"{path} has no class {name}, a subclass of {base}")
    try:
        return found()
    except Exception as error:  # a missing method, a constructor with arguments, or an error in it
        raise user_code_error(error, file.parent) or ValueError(f"{name}() failed: {error}") from error


def aggregator_reference(text: str) -> str:
    """Return `mean`, `median`, or FILE.py:CLASS with an absolute path.

    Raises:
        ValueError: it is none of these.
    """
    if text in ("mean", "median"):
        return text
    path, colon, name = text.rpartition(":")
    if not colon or not name.isidentifier():
        raise ValueError(f"{text!r}: must be mean, median, or FILE.py:CLASS")
    return f"{script(path)}:{name}"
