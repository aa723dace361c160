"""Arrays of NumPy and PyTorch in the safetensors format, written from their own memory without a copy.

The packages' own writers take the arrays of one framework at a time, and copy them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import IO, Any

from fl_app.survival.resumable import UnsupportedStateError

_TYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "complex64": "C64",
}
"""Names of the format by those of NumPy and PyTorch."""
_NAMES = {short: name for name, short in _TYPES.items()}
_LENGTH_BYTES = 8
_CHUNK = 8 * 2**20
_TORCH = "torch"
"""Value in the header's metadata for a tensor; other arrays are NumPy's."""


def size_of(arrays: Mapping[str, Any]) -> int:
    """Return the number of bytes of the arrays.

    Raises:
        UnsupportedStateError: an array has a type that the format does not know.
    """
    for name, array in arrays.items():
        _type_of(name, array)
    return sum(int(array.nbytes) for array in arrays.values())


def write_arrays(
    out: IO[bytes], arrays: Mapping[str, Any], seen: Callable[[bytes | memoryview], Any]
) -> None:
    """Write arrays, and call `seen` with everything that is written.

    Raises:
        UnsupportedStateError: an array has a type that the format does not know.
    """
    header: dict[str, Any] = {"__metadata__": {n: _TORCH for n, a in arrays.items() if _is_tensor(a)}}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + int(array.nbytes)
        header[name] = {
            "dtype": _type_of(name, array),
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % _LENGTH_BYTES)
    for part in chain((len(encoded).to_bytes(_LENGTH_BYTES, "little"), encoded), _chunks(arrays)):
        out.write(part)
        seen(part)


def read_arrays(content: bytes) -> dict[str, Any]:
    """Return the arrays in a file's content, of their frameworks and types, in writable memory."""
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.loads(content[_LENGTH_BYTES:start])
    tensors = header.pop("__metadata__")
    view = memoryview(content)
    return {
        name: _array(
            bytearray(view[start + about["data_offsets"][0] : start + about["data_offsets"][1]]),
            _NAMES[about["dtype"]],
            about["shape"],
            name in tensors,
        )
        for name, about in header.items()
    }


def _is_tensor(array: Any) -> bool:
    return type(array).__module__.partition(".")[0] == _TORCH


def _type_of(name: str, array: Any) -> str:
    kind = str(array.dtype).removeprefix("torch.")
    is_sparse = _is_tensor(array) and array.layout != sys.modules[_TORCH].strided
    if kind not in _TYPES or is_sparse:
        raise UnsupportedStateError(f"the array {name} has the type {'sparse ' * is_sparse}{kind}")
    return _TYPES[kind]


def _chunks(arrays: Mapping[str, Any]) -> Iterator[Any]:
    for array in arrays.values():
        data = memoryview(_bytes_of(array))
        for start in range(0, len(data), _CHUNK):
            yield data[start : start + _CHUNK]


def _bytes_of(array: Any) -> Any:
    """Return the numbers of an array as a flat NumPy array of bytes, without a copy where possible."""
    import numpy as np

    if _is_tensor(array):
        flat = array.detach().cpu().contiguous().reshape(-1)
        return flat.view(sys.modules[_TORCH].uint8).numpy()
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _array(data: bytearray, kind: str, shape: list[int], is_tensor: bool) -> Any:
    if is_tensor:
        import torch

        dtype = getattr(torch, kind)
        flat = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        return flat.reshape(shape)
    import numpy as np

    return np.frombuffer(data, dtype=kind).reshape(shape)
