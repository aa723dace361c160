"""Arrays as bytes of their own memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fl_app.exchange.arrays import ArrayBytes, Layout, allocate, layout_of, memory_of

NUMBERS = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
ARRAYS = {
    "floats": NUMBERS,
    "half": NUMBERS.astype(np.float16),
    "complex": NUMBERS.astype(np.complex64),
    "booleans": NUMBERS > 3,
    "unsigned": NUMBERS.astype(np.uint8),
    "no dimension": np.array(7.5),
    "no element": np.empty((0, 3)),
    "slice": NUMBERS[:, ::2],
    "reversed": NUMBERS[::-1],
    "order of Fortran": np.asfortranarray(NUMBERS),
    "read-only": np.broadcast_to(np.float64(2), (3, 3)),
}
TENSORS = {
    "float32": torch.arange(24.0).reshape(2, 3, 4),
    "bfloat16": torch.arange(24.0).bfloat16(),
    "float8": torch.arange(8.0).to(torch.float8_e4m3fn),
    "complex": torch.arange(4.0).to(torch.complex64),
    "conjugated": torch.complex(torch.arange(4.0), torch.ones(4)).conj(),
    "booleans": torch.arange(4) > 1,
    "no dimension": torch.tensor(3, dtype=torch.int64),
    "no element": torch.empty(0, 3),
    "transposed": torch.arange(24.0).reshape(4, 6).T,
    "parameter": torch.nn.Linear(2, 3).weight.detach(),
    "needs gradient": torch.ones(2, requires_grad=True) * 2,
}


def copy_of(array: Any) -> Any:
    """Return what the receiver of an array has."""
    layout = layout_of(array)
    assert layout is not None
    received = allocate(layout)
    sent = ArrayBytes(array, layout)
    memory_of(received, layout)[:] = sent.read(0, sent.size)
    return received


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_an_array_of_numpy_is_received_bit_for_bit(array: Any) -> None:
    received = copy_of(array)

    assert received.dtype == array.dtype
    assert received.shape == array.shape
    assert received.tobytes() == array.tobytes()
    assert received.flags.writeable


def test_the_order_of_fortran_is_kept_as_sums_depend_on_it() -> None:
    assert copy_of(np.asfortranarray(NUMBERS)).flags.f_contiguous


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
def test_a_tensor_is_received_bit_for_bit(tensor: Any) -> None:
    received = copy_of(tensor)

    assert (received.dtype, received.shape) == (tensor.dtype, tensor.shape)
    plain = tensor.detach().resolve_conj().contiguous()
    assert torch.equal(received.reshape(-1).view(torch.uint8), plain.reshape(-1).view(torch.uint8))
    assert not received.requires_grad


def test_a_slice_of_a_contiguous_array_of_numpy_is_its_own_memory() -> None:
    array = np.zeros(3, np.float32)
    layout = layout_of(array)
    assert layout is not None

    piece = ArrayBytes(array, layout).read(4, 4)
    array[1] = 2

    assert bytes(piece) == np.float32(2).tobytes()


def test_a_tensor_that_is_moved_to_other_memory_is_sent_from_there() -> None:
    """`share_memory_` frees the old memory, which may then hold anything; multiprocessing calls it."""
    tensor = torch.arange(1000.0)
    layout = layout_of(tensor)
    assert layout is not None
    sent = ArrayBytes(tensor, layout)

    tensor.share_memory_()
    tensor.neg_()

    assert bytes(sent.read(0, sent.size)) == (-torch.arange(1000.0)).numpy().tobytes()


def test_a_tensor_that_was_sent_can_be_resized() -> None:
    tensor = torch.arange(4.0)
    layout = layout_of(tensor)
    assert layout is not None

    sent = ArrayBytes(tensor, layout)
    sent.read(0, 16)
    tensor.untyped_storage().resize_(0)


def test_a_tensor_is_received_in_memory_that_can_be_written_whatever_the_default_device_is() -> None:
    """PyTorch allocates on the default device of the thread; the copy of a GPU's memory is another one."""
    with torch.device("meta"):
        received = allocate(Layout("torch", "float32", (2,)))

    assert received.device.type == "cpu"


@pytest.mark.parametrize(
    "array",
    [
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")]),
        np.arange(3, dtype=">f4"),
        np.array(["a", "b"]),
        np.array(["2026-01-01"], dtype="datetime64[D]"),
        np.array([object()]),
        np.ma.masked_array([1, 2], mask=[0, 1]),
        np.arange(3, dtype=np.longdouble),
        torch.eye(3).to_sparse(),
        torch.empty(3, device="meta"),
        torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        [1.0, 2.0],
    ],
)
def test_what_is_not_plain_numbers_has_no_layout(array: Any) -> None:
    assert layout_of(array) is None


@pytest.mark.parametrize(
    "layout",
    [
        Layout("numpy", "<f4", (-1,)),
        Layout("numpy", "O", (2,)),
        Layout("numpy", "unknown", (2,)),
        Layout("torch", "nn", (2,)),
        Layout("torch", "load", (2,)),
        Layout("torch", "quint8", (2,)),
        Layout("numpy", "None", (2,)),
        Layout("other", "float32", (2,)),
    ],
)
def test_an_invalid_layout_is_refused(layout: Layout) -> None:
    with pytest.raises(ValueError, match=r"type of a|shape of an"):
        allocate(layout)
