"""Arrays of NumPy and tensors of PyTorch as bytes."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_NUMPY, _TORCH = "numpy", "torch"
_KINDS = "biufc"
"""Kinds of NumPy's numbers that every machine represents in the same way, apart from the byte order."""

_TENSOR_TYPES = ("bfloat", "bool", "complex", "float", "int", "uint")
"""How the names of PyTorch's plain types begin; others are quantized or of bits."""


@dataclass(frozen=True)
class Layout:
    """The description of an array, from which the receiver allocates it."""

    library: str
    """`numpy` or `torch`."""
    dtype: str
    shape: tuple[int, ...]
    order: str = "C"
    """`C`, or `F` for an array of NumPy in the order of Fortran. Sums may depend on it."""


def layout_of(array: Any) -> Layout | None:
    """Return the layout of an array; None if its bytes are not its numbers, or differ between machines.

    Such are arrays of objects, records, text and times, of the other byte order and of NumPy's subclasses,
    and sparse, quantized, nested and meta tensors.
    """
    if type(array) is np.ndarray:
        if array.dtype.kind not in _KINDS or not array.dtype.isnative or _is_extended(array.dtype):
            return None
        is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        return Layout(_NUMPY, array.dtype.str, array.shape, "F" if is_fortran else "C")
    torch = sys.modules.get(_TORCH)
    if torch is None or type(array) is not torch.Tensor:
        return None
    if array.layout is not torch.strided or array.is_quantized or array.is_meta or array.is_nested:
        return None
    return Layout(_TORCH, str(array.dtype).removeprefix("torch."), tuple(array.shape))


def _is_extended(dtype: Any) -> bool:
    """Return whether a type depends on the machine, as long double does."""
    return dtype.type in (np.longdouble, np.clongdouble)


class ArrayBytes:
    """The bytes of an array that is sent. Slices of NumPy's arrays are views, those of tensors are copies.

    A tensor may get other memory with the same numbers, as by `share_memory_()`: a view would then show what
    was freed, and NumPy's view of a tensor also forbids to resize it.

    Args:
        array: the array. It is copied only if it is not contiguous.
        layout: its layout.
    """

    def __init__(self, array: Any, layout: Layout) -> None:
        if layout.library == _NUMPY:
            numbers: Any = array.T if layout.order == "F" else np.ascontiguousarray(array)
            self._flat: Any = numbers.reshape(-1).view(np.uint8)
        else:
            plain = array.detach().resolve_conj().resolve_neg().contiguous()
            self._flat = plain.reshape(-1).view(sys.modules[_TORCH].uint8)
        self.size = int(self._flat.shape[0])

    def read(self, start: int, size: int) -> memoryview | bytes:
        """Return at most `size` bytes from `start`."""
        piece = self._flat[start : start + size]
        if isinstance(piece, np.ndarray):
            return memoryview(piece)  # type: ignore[arg-type] # in the stubs of older versions
        piece = piece.cpu()
        return ctypes.string_at(piece.data_ptr(), len(piece))


def memory_of(array: Any, layout: Layout) -> memoryview:
    """Return the writable memory of an array that `allocate` has made."""
    if layout.library == _NUMPY:
        flat: Any = (array.T if layout.order == "F" else array).reshape(-1).view(np.uint8)
    else:
        memory = (ctypes.c_uint8 * array.nbytes).from_address(array.data_ptr())
        flat = np.ctypeslib.as_array(memory) if array.nbytes else np.empty(0, np.uint8)
    return memoryview(flat) if flat.size else memoryview(bytearray())


def size_of(layout: Layout) -> int:
    """Return the bytes of an array.

    Raises:
        ValueError: the layout is invalid, or of a type that this process does not know.
    """
    if any(type(size) is not int or size < 0 for size in layout.shape):
        raise ValueError(f"invalid shape of an array: {layout.shape}")
    return math.prod(layout.shape) * int(_type_of(layout).itemsize)


def allocate(layout: Layout) -> Any:
    """Return a new array, whose numbers are not set.

    Raises:
        ValueError: as of `size_of`.
    """
    size_of(layout)
    kind = _type_of(layout)
    if layout.library == _NUMPY:
        return np.empty(layout.shape, kind, order=layout.order)  # type: ignore[call-overload]
    return sys.modules[_TORCH].empty(layout.shape, dtype=kind, device="cpu")


def _type_of(layout: Layout) -> Any:
    if layout.library == _NUMPY:
        try:
            dtype = np.dtype(str(layout.dtype))
        except (TypeError, ValueError) as error:
            raise ValueError(f"unknown type of an array: {layout.dtype}") from error
        if dtype.kind not in _KINDS or layout.order not in ("C", "F"):
            raise ValueError(f"invalid type of an array: {layout.dtype}, {layout.order}")
        return dtype
    torch = sys.modules.get(_TORCH)
    kind = getattr(torch, str(layout.dtype), None)
    is_plain = str(layout.dtype).startswith(_TENSOR_TYPES)
    if torch is None or layout.library != _TORCH or not is_plain or not isinstance(kind, torch.dtype):
        raise ValueError(f"unknown type of a tensor: {layout.library} {layout.dtype}")
    return kind


def layouts_of(arrays: Mapping[str, Any]) -> dict[str, Layout] | None:
    """Return the layouts of all arrays; None if one has none."""
    found = {}
    for name, array in arrays.items():
        if (layout := layout_of(array)) is None:
            return None
        found[name] = layout
    return found
