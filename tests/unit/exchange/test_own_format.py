"""A model is the same whether it is exchanged without copies or in NVFlare's own format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nvflare.app_common.np.np_downloader import ArrayConsumer, ArrayDownloadable
from nvflare.app_opt.pt.tensor_downloader import TensorConsumer, TensorDownloadable
from nvflare.fuel.f3.streaming.download_service import ProduceRC

from fl_app.exchange import download
from fl_app.exchange.download import REQUEST, ModelReceiver, ModelSource
from fl_app.exchange.turns import Turn, Turns

NUMBERS = np.random.default_rng(3).standard_normal((50, 40)).astype(np.float32)
UNUSUAL = np.array([np.nan, -0.0, np.inf, 5e-324, 1e308])
MATRIX = torch.from_numpy(NUMBERS)
SHARED = torch.arange(100.0)


def read_only() -> Any:
    array = NUMBERS.copy()
    array.flags.writeable = False
    return array


def mapped(folder: Path) -> Any:
    array = np.memmap(folder / "array", np.float32, "w+", shape=(20, 3))
    array[:] = 7
    return array


ARRAYS: dict[str, Callable[[Path], Any]] = {
    "contiguous": lambda _: NUMBERS,
    "every second column": lambda _: NUMBERS[:, ::2],
    "reversed": lambda _: NUMBERS[::-1],
    "order of Fortran": lambda _: np.asfortranarray(NUMBERS),
    "three axes exchanged": lambda _: NUMBERS.reshape(5, 10, 40).transpose(2, 0, 1),
    "read-only": lambda _: read_only(),
    "broadcast": lambda _: np.broadcast_to(np.float32(2), (30, 30)),
    "no element": lambda _: np.empty((0, 4), np.int16),
    "no dimension": lambda _: np.array(5),
    "other byte order": lambda _: NUMBERS.astype(">f4"),
    "memory of a file": mapped,
    "view of memory of a file": lambda folder: np.asarray(mapped(folder)),
    "unusual numbers": lambda _: UNUSUAL,
    "half precision": lambda _: NUMBERS.astype(np.float16),
    "long double": lambda _: NUMBERS.astype(np.longdouble),
    "large": lambda _: np.arange(300_000.0),
}
TENSORS: dict[str, Callable[[], Any]] = {
    "contiguous": lambda: MATRIX,
    "transposed": lambda: MATRIX.T,
    "every second column": lambda: MATRIX[:, ::2],
    "expanded": lambda: torch.ones(1, 5).expand(7, 5),
    "part of a storage": lambda: SHARED[10:20],
    "another part of it": lambda: SHARED[15:40],
    "no element": lambda: torch.empty(3, 0),
    "no dimension": lambda: torch.tensor(2.5, dtype=torch.float64),
    "bfloat16": MATRIX.bfloat16,
    "half precision": MATRIX.half,
    "unusual numbers": lambda: torch.from_numpy(UNUSUAL),
    "with gradient": MATRIX.clone().requires_grad_,
    "memory of NumPy": lambda: torch.from_numpy(NUMBERS[::-1].copy()),
    "channels last": lambda: MATRIX.reshape(1, 5, 10, 40).to(memory_format=torch.channels_last),
    "large": lambda: torch.arange(300_000.0),
}


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SLICE_BYTES", 100_003)  # not a multiple of the size of a number


def received(source: Any, consumer: Any, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """Download a model as NVFlare does, and return it."""
    while True:
        code, parts, following = source.produce(state, "site-1")
        if code != ProduceRC.OK:
            assert code == ProduceRC.EOF
            consumer.download_completed("ref")
            return dict(getattr(consumer, "_own", consumer).result)
        state = consumer.consume("ref", following, [bytes(part) for part in parts])


def receiver(own: Any) -> ModelReceiver:
    return ModelReceiver(own, Turn(Turns(), "server"))


def both_ways(model: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a model exchanged without copies, and in NVFlare's own format."""
    is_torch = torch.is_tensor(next(iter(model.values())))
    # NVFlare refuses to send tensors that are not contiguous.
    contiguous = {name: one.contiguous() for name, one in model.items()} if is_torch else model
    make: Any = TensorDownloadable if is_torch else ArrayDownloadable
    consumer: Any = TensorConsumer if is_torch else ArrayConsumer
    direct = received(ModelSource(model, make(model, 1 << 20)), receiver(consumer(None, {})), dict(REQUEST))
    return direct, received(make(contiguous, 1 << 20), consumer(None, {}))


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_an_array_is_the_same(make: Callable[[Path], Any], tmp_path: Path) -> None:
    array = make(tmp_path)

    direct, own = both_ways({"first": NUMBERS[:3], "array": array, "last": np.arange(3)})

    for name, expected in own.items():
        assert direct[name].dtype == expected.dtype
        assert direct[name].shape == expected.shape
        assert direct[name].tobytes() == expected.tobytes()
        assert direct[name].flags.writeable
        assert direct[name].flags.f_contiguous == expected.flags.f_contiguous


@pytest.mark.parametrize("make", TENSORS.values(), ids=TENSORS)
def test_a_tensor_is_the_same(make: Callable[[], Any]) -> None:
    tensor = make()

    direct, own = both_ways({"first": torch.ones(3), "tensor": tensor, "last": torch.arange(3)})

    for name, expected in own.items():
        assert (direct[name].dtype, direct[name].shape) == (expected.dtype, expected.shape)
        assert direct[name].is_contiguous() == expected.is_contiguous()
        assert direct[name].requires_grad == expected.requires_grad
        bits, others = (one.reshape(-1).view(torch.uint8) for one in (direct[name], expected))
        assert torch.equal(bits, others)


def test_what_a_site_received_shares_no_memory() -> None:
    model = {"one": torch.arange(1000.0), "other": torch.arange(10.0)}
    source = ModelSource(model, TensorDownloadable(model, 1 << 20))
    first, second = (received(source, receiver(TensorConsumer(None, {})), dict(REQUEST)) for _ in range(2))

    first["one"].zero_()  # as a training does that changes the received model
    model["other"].zero_()

    assert second["one"][999] == 999
    assert second["other"][9] == first["other"][9] == 9


def test_a_site_may_change_what_it_received_while_another_still_downloads() -> None:
    model = {"one": torch.arange(100_000.0)}
    source = ModelSource(model, TensorDownloadable(model, 1 << 20))
    slow = receiver(TensorConsumer(None, {}))
    _, parts, state = source.produce(dict(REQUEST), "site-2")
    slow.consume("ref", state, parts)

    received(source, receiver(TensorConsumer(None, {})), dict(REQUEST))["one"].zero_()

    assert torch.equal(received(source, slow, state)["one"], model["one"])
