"""The rules about what a site returns: pure functions on arrays, whichever library they are of."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

LARGEST, SMALLEST = (1 << 64) - 1, -(1 << 63)
"""The integers that NVFlare's messages can carry; beyond them a message is lost, and its receiver waits for
ever."""
SIZE_FACTOR = 4
"""How many times larger than the model a site's result may be, all that comes beside the weights included."""
SIZE_ALLOWANCE = 64 * 2**20
"""Bytes that a result may always have."""

_DEEPEST = 32
_SHOWN_KEYS = 3


@dataclass(frozen=True)
class Parameter:
    """What is known of one parameter without looking at its numbers."""

    shape: tuple[int, ...] | None
    """None for what is not an array, or not here yet (offloaded, to be downloaded)."""


@dataclass(frozen=True)
class Breach:
    """A rule that is broken."""

    what: str
    remedy: str
    key: str = ""


def describe(parameters: Mapping[Any, Any]) -> dict[str, Parameter]:
    """What is known of each parameter."""
    return {str(name): Parameter(_shape(value)) for name, value in parameters.items()}


def _shape(value: Any) -> tuple[int, ...] | None:
    shape = getattr(value, "shape", None)
    try:
        return None if shape is None else tuple(int(size) for size in shape)
    except TypeError:
        return None


EMPTY = Breach(
    "returned no parameters: NVFlare would leave this site out and call the job completed",
    "Return the model's weights in FLModel(params=...); a PyTorch job must return tensors, and NumPy "
    "arrays in their place are dropped on the way.",
)


def differing(
    sent: Mapping[str, Parameter], returned: Mapping[str, Parameter], whole: bool, excluded: str = ""
) -> Breach | None:
    """The result is of another model than the one that was sent.

    Args:
        sent: what the site received.
        returned: what it returned.
        whole: whether it must return every parameter: it sends weights, not differences.
        excluded: a regular expression of names that take no part in the model.
    """
    unknown = [name for name in returned if name not in sent and not (excluded and re.search(excluded, name))]
    if unknown:
        return Breach(
            f"returned {_counted(unknown)} that the model it was sent does not have",
            "Return the parameters under the names by which they were received, and no others.",
            unknown[0],
        )
    missing = [name for name in sent if name not in returned]
    if whole and missing:
        return Breach(
            f"did not return {_counted(missing)} of the model it was sent: they would be lost from the model",
            "Return all parameters, or send differences (params_type DIFF), where those that are left out "
            "stay as they are.",
            missing[0],
        )
    for name in [name for name in returned if name in sent]:
        before, after = sent[name], returned[name]
        if before.shape is not None and after.shape is not None and before.shape != after.shape:
            return Breach(
                f"returned shape {after.shape}, and was sent {before.shape}: the model would change",
                "Return each parameter in the shape in which it was received.",
                name,
            )
    return None


def _counted(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN_KEYS])
    more = f" and {len(names) - _SHOWN_KEYS} more" if len(names) > _SHOWN_KEYS else ""
    return f"{len(names)} parameter{'s' * (len(names) != 1)} ({shown}{more})"


def not_finite(parameters: Mapping[Any, Any]) -> Breach | None:
    """A parameter is NaN or infinite.

    One pass over the memory: a sum is finite only if all of its parts are; where it is not, each number is
    looked at, since a sum of large numbers may overflow.
    """
    for name, value in parameters.items():
        bad = _count_not_finite(value)
        if bad:
            return Breach(
                f"returned {bad} number{'s' * (bad != 1)} that {'are' if bad != 1 else 'is'} NaN or infinite",
                "The training diverged there: lower the learning rate, clip gradients, or look for NaN in "
                "the site's data.",
                str(name),
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


def too_large(result: Any, model: Mapping[Any, Any] | None, model_bytes: int) -> Breach | None:
    """The result, with all that comes beside the weights, is much larger than the model.

    Args:
        result: everything that the site returns.
        model: None if the job has none.
        model_bytes: its size.
    """
    if model is None:
        return None
    size, allowed = size_of(result), SIZE_FACTOR * model_bytes + SIZE_ALLOWANCE
    if size <= allowed:
        return None
    return Breach(
        f"returned {size / 2**20:.0f} MiB for a model of {model_bytes / 2**20:.0f} MiB",
        f"Return the weights and small facts about them: {allowed / 2**20:.0f} MiB at most.",
    )


def size_of(value: Any) -> int:
    """Bytes of all arrays and texts in a document."""
    return sum(_bytes(leaf) for _, leaf in _leaves(value, "", 0))


def _bytes(leaf: Any) -> int:
    size = getattr(leaf, "nbytes", None)
    if isinstance(size, int):
        return size
    return len(leaf) if isinstance(leaf, bytes | bytearray | str) else 8


def unsendable_integer(document: Any) -> Breach | None:
    """A number that NVFlare's messages cannot carry."""
    for path, leaf in _leaves(document, "", 0):
        if type(leaf) is int and not SMALLEST <= leaf <= LARGEST:
            return Breach(
                f"an integer of {leaf.bit_length()} bits, and NVFlare's messages carry 64: the message would "
                "be lost, and the job would wait for ever",
                "Send it as a float or as text.",
                path,
            )
    return None


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """What is in a document of dicts, lists and tuples, each with its path."""
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, list | tuple | set):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]", depth + 1)
    else:
        yield path, value
