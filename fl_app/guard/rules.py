"""Rules for what a site may return: pure functions on arrays of NumPy and PyTorch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fl_app.guard.finding import Finding

MAX_INTEGER, MIN_INTEGER = (1 << 64) - 1, -(1 << 63)
"""Range of the integers in NVFlare's messages; a message with any other is lost, and the job hangs."""
SIZE_FACTOR = 4
"""Maximum size of a site's result, with everything beside the weights, as a multiple of the model's size."""
SIZE_ALLOWANCE = 64 * 2**20
"""Bytes that are allowed beyond SIZE_FACTOR."""

_MAX_DEPTH = 32
_MAX_NAMES = 3


@dataclass(frozen=True)
class Parameter:
    """The description of a parameter without its numbers."""

    shape: tuple[int, ...] | None
    """None for anything but an array, and for an array that is not loaded yet."""


def describe(parameters: Mapping[Any, Any]) -> dict[str, Parameter]:
    """Describe each parameter."""
    return {str(name): Parameter(_shape(value)) for name, value in parameters.items()}


def _shape(value: Any) -> tuple[int, ...] | None:
    shape = getattr(value, "shape", None)
    try:
        return None if shape is None else tuple(int(size) for size in shape)
    except TypeError:
        return None


NO_PARAMETERS = Finding(
    "returned no parameters: NVFlare would ignore this site and report the job as completed",
    "Return the model's weights in FLModel(params=...). A PyTorch job must return tensors: NumPy arrays are "
    "dropped.",
)


def find_mismatch(
    sent: Mapping[str, Parameter], returned: Mapping[str, Parameter], is_complete: bool, excluded: str = ""
) -> Finding | None:
    """Check that a result has the parameters and shapes of the model that was sent.

    Args:
        sent: parameters that the site received.
        returned: parameters that the site returned.
        is_complete: whether every parameter must be there: the site returns weights, not differences.
        excluded: regular expression of the parameters that are not part of the global model.
    """
    unknown = [name for name in returned if name not in sent and not (excluded and re.search(excluded, name))]
    if unknown:
        return Finding(
            f"returned {_counted(unknown)} not in the model that it received",
            "Return exactly the parameters that were received, under the same names.",
            key=unknown[0],
        )
    missing = [name for name in sent if name not in returned]
    if is_complete and missing:
        return Finding(
            f"did not return {_counted(missing)}: the global model would lose them",
            "Return all parameters, or differences (params_type DIFF), which may leave parameters out.",
            key=missing[0],
        )
    for name in [name for name in returned if name in sent]:
        before, after = sent[name], returned[name]
        if before.shape is not None and after.shape is not None and before.shape != after.shape:
            return Finding(
                f"returned shape {after.shape} and received {before.shape}: the global model would change",
                "Return each parameter in the shape in which it was received.",
                key=name,
            )
    return None


def _counted(names: list[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMES])
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return f"{len(names)} parameter{'s' * (len(names) != 1)} ({shown}{more})"


def find_not_finite(parameters: Mapping[Any, Any]) -> Finding | None:
    """Check that no parameter has NaN or infinite numbers.

    The check is one pass over the memory: a finite sum proves that all numbers are finite. If the sum is not
    finite, each number is checked, because a sum of large numbers may overflow.
    """
    for name, value in parameters.items():
        count = _count_not_finite(value)
        if count:
            return Finding(
                f"returned {count} number{'s that are' if count > 1 else ' that is'} NaN or infinite",
                "The training diverged: lower the learning rate, clip gradients or remove NaN from the data.",
                key=str(name),
            )
    return None


def _count_not_finite(value: Any) -> int:
    if isinstance(value, float):
        return int(not math.isfinite(value))
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "fc":
            return 0
        with np.errstate(all="ignore"):
            if np.isfinite(np.sum(value)):
                return 0
            return int(np.size(value) - np.count_nonzero(np.isfinite(value)))
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "is_floating_point"):
        return _count_not_finite_in_tensor(value)
    return 0


def _count_not_finite_in_tensor(tensor: Any) -> int:
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.is_meta or tensor.is_quantized:
        return 0
    numbers = tensor.detach()
    if numbers.is_sparse:
        numbers = numbers.coalesce().values()
    if bool(numbers.sum().isfinite()):
        return 0
    return int(numbers.numel() - numbers.isfinite().sum())


def find_oversize(result: Any, model_bytes: int) -> Finding | None:
    """Check that a result, with everything beside the weights, is not much larger than the model."""
    size, allowed = size_of(result), SIZE_FACTOR * model_bytes + SIZE_ALLOWANCE
    if size <= allowed:
        return None
    return Finding(
        f"returned {size / 2**20:.0f} MiB for a model of {model_bytes / 2**20:.0f} MiB",
        f"Return the weights and small facts about them, at most {allowed / 2**20:.0f} MiB.",
    )


def size_of(value: Any) -> int:
    """Return the bytes of all arrays and texts in a document."""
    return sum(_bytes(leaf) for _, leaf in _leaves(value, "", 0))


def _bytes(leaf: Any) -> int:
    size = getattr(leaf, "nbytes", None)
    if isinstance(size, int):
        return size
    return len(leaf) if isinstance(leaf, bytes | bytearray | str) else 8


def find_large_integer(document: Any) -> Finding | None:
    """Check that a document has no integer that NVFlare's messages cannot carry."""
    for path, leaf in _leaves(document, "", 0):
        if type(leaf) is int and not MIN_INTEGER <= leaf <= MAX_INTEGER:
            return Finding(
                f"an integer of {leaf.bit_length()} bits, but NVFlare's messages carry 64: the message would "
                "be lost, and the job would wait forever",
                "Send it as a float or as text.",
                key=path,
            )
    return None


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the values in a document of dicts, lists and tuples, each with its path."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, list | tuple | set):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]", depth + 1)
    else:
        yield path, value
