"""Comparisons of the numbers in models: arrays of NumPy, tensors of PyTorch, and plain floats."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_BLOCK = 1 << 20
"""Numbers that are compared at a time."""


@dataclass(frozen=True)
class Parameter:
    """The description of a parameter without its numbers."""

    shape: tuple[int, ...] | None
    """None for anything but an array, and for an array that is not loaded yet."""
    kind: str = ""
    """`f` for floating-point numbers, `i` for integers and booleans, empty for anything else."""


def describe(parameters: Mapping[Any, Any]) -> dict[str, Parameter]:
    """Describe each parameter."""
    return {str(name): Parameter(_shape(value), _kind(value)) for name, value in parameters.items()}


def _shape(value: Any) -> tuple[int, ...] | None:
    shape = getattr(value, "shape", None)
    try:
        return None if shape is None else tuple(int(size) for size in shape)
    except TypeError:
        return None


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic):
        return {"f": "f", "i": "i", "u": "i", "b": "i"}.get(value.dtype.kind, "")
    if is_tensor(value) and not value.is_complex() and not value.is_quantized:
        return "f" if value.is_floating_point() else "i"
    return ""


def is_tensor(value: Any) -> bool:
    """Return whether a value is a tensor of PyTorch, without importing PyTorch."""
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "is_floating_point")


def count_not_finite(value: Any, sent: Any = None) -> int:
    """Count the numbers that are NaN or infinite, without those that the site received at the same place.

    A constant such as an attention mask may hold -inf; a site that returns it has not diverged. The usual
    case costs one pass over the memory: a finite sum proves that all numbers are finite. Only if the sum is
    not finite is each number checked, because a sum of large numbers may overflow.
    """
    if isinstance(value, float):
        return int(not math.isfinite(value) and not equal(sent, value))
    if isinstance(value, np.ndarray | np.generic):
        return _count_in_array(value, sent)
    return _count_in_tensor(value, sent) if is_tensor(value) else 0


def _count_in_array(value: Any, sent: Any) -> int:
    if value.dtype.kind not in "fc":
        return 0
    with np.errstate(all="ignore"):
        if np.isfinite(np.sum(value)):
            return 0
        bad = ~np.isfinite(value)
        constant = np.asarray(0 if sent is None or is_tensor(sent) else sent)
        if bad.any() and constant.dtype.kind in "fc" and constant.shape == np.shape(value):
            bad &= ~((constant == value) | (np.isnan(constant) & np.isnan(value)))
        return int(np.count_nonzero(bad))


def _count_in_tensor(tensor: Any, sent: Any) -> int:
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.is_meta or tensor.is_quantized:
        return 0
    numbers = tensor.detach()
    if numbers.is_sparse:
        numbers, sent = numbers.coalesce().values(), None
    if bool(numbers.sum().isfinite()):
        return 0
    bad = ~numbers.isfinite()
    if bool(bad.any()) and is_tensor(sent) and sent.shape == numbers.shape and not sent.is_sparse:
        constant = sent.detach().to(numbers.device)
        bad &= ~((constant == numbers) | (constant.isnan() & numbers.isnan()))
    return int(bad.sum())


def equal(before: Any, after: Any) -> bool:
    """Return whether two values are equal number by number; False if they cannot be compared.

    NaN equals NaN. Large arrays are compared in blocks: the first difference ends the comparison.
    """
    if isinstance(before, float) and isinstance(after, float):
        return before == after or (math.isnan(before) and math.isnan(after))
    if is_tensor(before) and is_tensor(after):
        if before.shape != after.shape or before.dtype != after.dtype or before.is_sparse or after.is_sparse:
            return False
        one, other = before.detach(), after.detach().to(before.device)
        return all(_equal_tensors(*block) for block in _blocks(one, other))
    arrays = np.ndarray | np.generic
    if not isinstance(before, arrays) or not isinstance(after, arrays) or before.shape != after.shape:
        return False
    return all(_equal_arrays(*block) for block in _blocks(before, after))


def _blocks(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the same parts of two arrays or tensors of one shape; both as they are if they are small."""
    if math.prod(one.shape) <= _BLOCK:
        yield one, other
        return
    flat, flat_other = one.reshape(-1), other.reshape(-1)
    for start in range(0, len(flat), _BLOCK):
        yield flat[start : start + _BLOCK], flat_other[start : start + _BLOCK]


def _equal_tensors(one: Any, other: Any) -> bool:
    return bool((one == other).all()) or bool(((one == other) | (one.isnan() & other.isnan())).all())


def _equal_arrays(one: Any, other: Any) -> bool:
    if np.array_equal(one, other):
        return True
    may_be_nan = one.dtype.kind in "fc" and other.dtype.kind in "fc"
    return may_be_nan and np.array_equal(one, other, equal_nan=True)


def is_zero(value: Any) -> bool:
    """Return whether all numbers are zero; False for anything but numbers."""
    if isinstance(value, int | float):
        return value == 0
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "fciub" and not np.any(value)
    if is_tensor(value) and not value.is_meta and not value.is_quantized:
        return not bool((value.coalesce().values() if value.is_sparse else value).any())
    return False


def root_mean_square(parameters: Mapping[Any, Any]) -> float:
    """Return the root mean square of all floating-point numbers; infinite numbers are left out."""
    total, count = 0.0, 0
    for value in parameters.values():
        if is_tensor(value):
            if not value.is_floating_point() or value.is_meta or value.is_quantized or value.is_sparse:
                continue
            norm, size = float(value.detach().float().norm()), value.numel()
        elif isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f":
            norm = math.hypot(*(_norm(block) for block, _ in _blocks(value, value)))
            size = int(np.size(value))
        else:
            continue
        if math.isfinite(norm):
            total, count = math.hypot(total, norm), count + size
    return total / math.sqrt(count) if count else 0.0


def _norm(value: Any) -> float:
    with np.errstate(all="ignore"):
        largest = float(np.max(np.abs(value), initial=0.0))
        # Scaled, since the square of a large number overflows.
        return largest * float(np.linalg.norm(np.ravel(value) / largest)) if largest else 0.0
