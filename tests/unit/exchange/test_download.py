"""Models that cross NVFlare's own cells, between processes with and without Flarefleet."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nvflare.app_common.decomposers import numpy_decomposers
from nvflare.app_opt.pt.decomposers import TensorDecomposer
from nvflare.app_opt.pt.tensor_downloader import TensorConsumer, TensorDownloadable
from nvflare.fuel.f3.cellnet.cell import Cell
from nvflare.fuel.f3.cellnet.core_cell import CoreCell
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey
from nvflare.fuel.f3.cellnet.utils import make_reply, new_cell_message
from nvflare.fuel.f3.stats_pool import StatsPoolManager
from nvflare.fuel.f3.streaming import byte_streamer, download_service
from nvflare.fuel.f3.streaming.download_service import ProduceRC
from nvflare.fuel.utils import fobs
from nvflare.fuel.utils.fobs.decomposers.via_downloader import ViaDownloaderDecomposer

from deploy.ports import free_ports
from fl_app.contract import ENV_DIRECT_EXCHANGE
from fl_app.exchange import download, exchange_without_copies
from fl_app.exchange.download import REQUEST, ModelReceiver, ModelSource
from fl_app.exchange.memory import ModelTooLarge
from fl_app.exchange.turns import Turn, Turns
from tests.waiting import eventually

ARRAYS = {
    "large": np.random.default_rng(1).standard_normal((1000, 1000)),
    "order of Fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "no element": np.empty((2, 0), np.float16),
    "no dimension": np.array(3),
    "last": np.arange(5, dtype=np.uint8),
}
TENSORS = {
    "large": torch.arange(1e6).reshape(1000, 1000),
    "bfloat16": torch.linspace(0, 1, 1001).bfloat16(),
    "no dimension": torch.tensor(4),
    "no element": torch.empty(0),
}
TWICE = b'[["T0", "torch", "float32", [3], "C"], ["T0", "torch", "float32", [3], "C"]]'
RECORDS = {"records": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")]), "floats": np.ones(3)}


@pytest.fixture(scope="module", autouse=True)
def installed() -> Iterator[None]:
    """Install the exchange in this process; register NVFlare's decomposers as jobs do."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            (ViaDownloaderDecomposer, "_create_downloadable"),
            (download_service, "_download_object"),
            (byte_streamer, "TxTask"),
        ):
            patch.setattr(owner, name, getattr(owner, name))  # restores it
        patch.setattr(download, "SLICE_BYTES", 1 << 20)
        patch.setattr(CoreCell, "ALL_CELLS", {})  # NVFlare keeps the cells of other tests there
        patch.setattr(StatsPoolManager, "pools", {})  # and their statistics, by the names of the cells, here
        numpy_decomposers.register()
        fobs.register(TensorDecomposer)
        patch.setenv(ENV_DIRECT_EXCHANGE, "true")
        exchange_without_copies()
        yield


class Link:
    """The server's cell in this process; `echo` sends a model to a site and back."""

    def __init__(self, server: Cell, site: str) -> None:
        self.cell, self.site = server, site
        eventually(lambda: _has_answered(self._send(None)), 20, "the site is connected")  # in the background

    def echo(self, model: Any) -> Any:
        """Send a model to the site and return what comes back."""
        reply = self._send(model)
        assert _has_answered(reply)
        return reply.payload["model"]

    def _send(self, model: Any) -> Any:
        request = new_cell_message({}, {"model": model})
        return self.cell.send_request(
            channel="test", topic="echo", target=self.site, request=request, timeout=20.0
        )


def _has_answered(reply: Any) -> bool:
    return bool(reply.get_header(MessageHeaderKey.RETURN_CODE) == "ok")


@pytest.fixture(scope="module")
def address() -> str:
    return f"tcp://127.0.0.1:{free_ports(1)[0]}"


@pytest.fixture(scope="module")
def server(address: str) -> Iterator[Cell]:
    cell = Cell("server", address, secure=False, credentials={})
    cell.start()
    yield cell
    cell.stop()


@pytest.fixture(scope="module")
def stock_site(server: Cell, address: str) -> Iterator[Link]:
    """A site without Flarefleet."""
    script = Path(__file__).with_name("stock_peer.py")
    with subprocess.Popen(
        [sys.executable, str(script), address], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Link(server, "site-1")
        process.kill()


@pytest.fixture(scope="module")
def site(server: Cell, address: str) -> Iterator[Link]:
    """A site with Flarefleet."""
    cell = Cell("site-2", address, secure=False, credentials={})
    cell.register_request_cb(
        channel="test", topic="echo", cb=lambda request: make_reply("ok", body=request.payload)
    )
    cell.start()
    yield Link(server, "site-2")
    cell.stop()


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert list(one) == list(other)
    for name, array in one.items():
        received = other[name]
        assert (type(received), received.dtype, received.shape) == (type(array), array.dtype, array.shape)
        assert bytes_of(received) == bytes_of(array), name


def bytes_of(array: Any) -> bytes:
    return (
        array.reshape(-1).view(torch.uint8).numpy().tobytes() if torch.is_tensor(array) else array.tobytes()
    )


@pytest.mark.parametrize("model", [ARRAYS, TENSORS, {**ARRAYS, "tensor": torch.ones(3)}, RECORDS])
def test_a_model_is_exchanged_with_a_site_without_flarefleet(stock_site: Link, model: dict[str, Any]) -> None:
    assert_equal(model, stock_site.echo(model))


@pytest.mark.parametrize("model", [ARRAYS, TENSORS, {**ARRAYS, "tensor": torch.ones(3)}, RECORDS])
def test_a_model_is_exchanged_with_a_site_with_flarefleet(site: Link, model: dict[str, Any]) -> None:
    assert_equal(model, site.echo(model))


def test_two_sites_with_flarefleet_do_not_serialize_the_model(
    site: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("serialized")

    monkeypatch.setattr(TensorDownloadable, "produce", fail)

    assert_equal(TENSORS, site.echo(TENSORS))


def source_of(tensors: dict[str, Any]) -> ModelSource:
    return ModelSource(tensors, TensorDownloadable(tensors, 1 << 20))


def test_a_repeated_request_gets_the_same_part() -> None:
    source = source_of(TENSORS)
    _, _, state = source.produce(dict(REQUEST), "site-1")

    first, second = (source.produce(dict(state), "site-1") for _ in range(2))

    assert first == second
    assert first[0] == ProduceRC.OK


def test_a_model_that_cannot_be_described_is_sent_in_the_format_of_nvflare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with an older PyTorch in the environment of a training script."""

    def fail(*_: Any) -> None:
        raise RuntimeError("Numpy is not available")

    monkeypatch.setattr(download, "ArrayBytes", fail)

    code, parts, _ = source_of({"T0": torch.ones(2)}).produce(dict(REQUEST), "site-1")

    assert code == ProduceRC.OK
    assert b"safetensors" in parts[0] or b"T0" in parts[0]


def receive(source: ModelSource) -> tuple[ModelReceiver, TensorConsumer]:
    own = TensorConsumer(None, {})
    return ModelReceiver(own, Turn(Turns(), "server")), own


def test_a_receiver_refuses_a_model_that_lacks_a_part() -> None:
    source = source_of(TENSORS)
    receiver, own = receive(source)
    _, parts, state = source.produce(dict(REQUEST), "site-1")
    receiver.consume("ref", state, parts)

    receiver.download_completed("ref")

    assert re.search(r"received 1048576 of \d+ bytes of a model", receiver.failure)
    assert own.result is None


def test_a_receiver_refuses_a_part_without_progress() -> None:
    source = source_of(TENSORS)
    receiver, _ = receive(source)
    _, parts, state = source.produce(dict(REQUEST), "site-1")
    receiver.consume("ref", state, parts)

    with pytest.raises(ValueError, match="without bytes"):
        receiver.consume("ref", state, [b""])


def test_a_receiver_refuses_more_than_the_table_announces() -> None:
    source = source_of({"T0": torch.ones(2)})
    receiver, _ = receive(source)
    _, parts, state = source.produce(dict(REQUEST), "site-1")

    with pytest.raises(ValueError, match="more bytes"):
        receiver.consume("ref", state, [*parts, b"1"])


@pytest.mark.parametrize("position", [-1, "5", None, 1.5, True])
def test_a_source_refuses_a_request_with_an_invalid_position(position: Any) -> None:
    with pytest.raises(ValueError, match="invalid position"):
        source_of(TENSORS).produce({**REQUEST, "position": position}, "site-1")


def test_a_receiver_refuses_a_part_that_follows_another_one() -> None:
    source = source_of(TENSORS)
    receiver, _ = receive(source)
    _, parts, state = source.produce(dict(REQUEST), "site-1")

    with pytest.raises(ValueError, match=r"ends at \d+, not"):
        receiver.consume("ref", {**state, "position": state["position"] + 1}, parts)


@pytest.mark.parametrize(
    "table", [b"1", b"[[1]]", b"{}{", b'[["T0", "torch", "float32", 3, "C"]]', b"\xff", TWICE]
)
def test_a_receiver_refuses_an_invalid_table(table: bytes) -> None:
    receiver, _ = receive(source_of(TENSORS))

    with pytest.raises(ValueError, match="the table of a model is invalid"):
        receiver.consume("ref", {**REQUEST, "position": 1}, [table])


def test_a_receiver_allocates_nothing_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> None:
        raise AssertionError("allocated")

    monkeypatch.setattr(download, "allocate", fail)
    receiver, _ = receive(source_of(TENSORS))
    table = b'[["T0", "torch", "float32", [1000000000, 1000000000], "C"]]'

    with pytest.raises(ModelTooLarge, match=r"a model of 4000000000\.00 GB does not fit"):
        receiver.consume("ref", {**REQUEST, "position": 1}, [table])


def test_a_failed_download_says_why() -> None:
    with pytest.raises(RuntimeError, match="failed to download from site-1: it does not fit"):  # noqa: SIM117
        with download.receive(TensorConsumer(None, {}), "site-1") as receiver:
            receiver.download_failed("ref", "it does not fit")


def test_an_empty_model_ends() -> None:
    source = source_of({"T0": torch.empty(0)})
    receiver, own = receive(source)
    _, parts, state = source.produce(dict(REQUEST), "site-1")
    receiver.consume("ref", state, parts)
    assert source.produce(state, "site-1")[0] == ProduceRC.EOF
    receiver.download_completed("ref")

    assert list(own.result) == ["T0"]


def test_a_failed_download_leaves_no_arrays() -> None:
    source = source_of(TENSORS)
    receiver, own = receive(source)
    _, parts, state = source.produce(dict(REQUEST), "site-1")
    receiver.consume("ref", state, parts)

    receiver.download_failed("ref", "cut off")

    assert (own.error, own.result) == ("cut off", None)


def test_a_released_source_keeps_no_array() -> None:
    source = source_of(TENSORS)

    source.release()

    with pytest.raises(RuntimeError, match="released"):
        source.produce({**REQUEST, "position": 5}, "site-1")
