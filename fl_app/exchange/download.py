"""The download of a model: one stream of bytes, of which each reply carries a slice.

The state of a request names the format and the position in the stream: NVFlare sends the same request again
if a reply is late. The first reply also carries a table of the arrays.
"""

from __future__ import annotations

import bisect
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from itertools import accumulate
from typing import Any

from nvflare.fuel.f3.streaming.download_service import Consumer, Downloadable, ProduceRC

from fl_app.exchange.arrays import ArrayBytes, Layout, allocate, layouts_of, memory_of, size_of
from fl_app.exchange.memory import Memory, ModelTooLarge
from fl_app.exchange.turns import Turn, Turns
from fl_app.nvflare_internals.model_download import ModelTooLargeError

_FORMAT, _POSITION = "flarefleet_views", "position"
_VERSION = 1
REQUEST: Mapping[str, Any] = {_FORMAT: _VERSION, _POSITION: 0}
"""State of the first request of a receiver that knows this format."""
SLICE_BYTES = 16 << 20
"""Size of a slice. NVFlare copies parts of a message below 10 MB; the receiver holds two slices."""

_log = logging.getLogger(__name__)


class ModelSource(Downloadable):
    """The arrays of a model, for receivers that know this format and for those that do not.

    Args:
        arrays: the arrays by name; they must not change until they have been downloaded.
        own: NVFlare's own, for receivers that do not know the format.
    """

    def __init__(self, arrays: Mapping[str, Any], own: Downloadable) -> None:
        super().__init__(arrays)
        self._own = own
        self._stream: _Stream | None = None
        try:
            layouts = layouts_of(arrays)
            if layouts is not None:
                self._stream = _Stream(arrays, layouts)
        except (
            Exception
        ) as error:  # another PyTorch in the environment of a training script may lack a method
            _log.warning("a model is sent in NVFlare's format: %s: %s", type(error).__name__, error)

    def produce(self, state: dict[str, Any], requester: str) -> tuple[str, Any, dict[str, Any]]:
        """Return the reply to a request: NVFlare's code, the parts of the message, and the next state.

        Raises:
            ValueError: the position of the request is invalid.
        """
        stream = self._stream
        if stream is None or not state or state.get(_FORMAT) != _VERSION:
            return self._own.produce(state, requester)
        position = state.get(_POSITION)
        if type(position) is not int or position < 0:
            raise ValueError(f"invalid position in a model: {position!r}")
        if position > 0 and position >= stream.size:
            return ProduceRC.EOF, None, {}
        parts: list[bytes | memoryview] = [stream.table] if position == 0 else []
        if piece := stream.read(position, SLICE_BYTES):
            parts.append(piece)
        # An empty stream ends, too: with a position behind its end.
        return ProduceRC.OK, parts, {_FORMAT: _VERSION, _POSITION: max(position + len(piece), 1)}

    def set_transaction(self, tx_id: str, ref_id: str) -> None:
        """Pass on to NVFlare's own."""
        self._own.set_transaction(tx_id, ref_id)

    def downloaded_to_one(self, to_receiver: str, status: str) -> None:
        """Pass on to NVFlare's own."""
        self._own.downloaded_to_one(to_receiver, status)

    def downloaded_to_all(self) -> None:
        """Pass on to NVFlare's own."""
        self._own.downloaded_to_all()

    def transaction_done(self, transaction_id: str, status: str) -> None:
        """Pass on to NVFlare's own."""
        self._own.transaction_done(transaction_id, status)

    def release(self) -> None:
        """Forget the arrays."""
        self._stream = None
        self.base_obj = None
        self._own.release()


class _Stream:
    """The bytes of arrays, one after the other."""

    def __init__(self, arrays: Mapping[str, Any], layouts: Mapping[str, Layout]) -> None:
        table = [[name, *astuple(layout)] for name, layout in layouts.items()]
        self.table = json.dumps(table).encode()
        self._arrays = [ArrayBytes(arrays[name], layout) for name, layout in layouts.items()]
        self._ends = list(accumulate(one.size for one in self._arrays))
        self.size = self._ends[-1] if self._ends else 0

    def read(self, position: int, size: int) -> memoryview | bytes:
        """Return a slice of one array, or a copy of the ends and beginnings of several."""
        pieces: list[memoryview | bytes] = []
        for index, start in _from(self._ends, position):
            pieces.append(self._arrays[index].read(start, size))
            size -= len(pieces[-1])
            if size == 0:
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class ModelReceiver(Consumer):
    """Receives a model in this format, or in NVFlare's if the sender does not know this one.

    Args:
        own: NVFlare's own consumer, which holds the result in either case.
        turn: lets the download wait for others.
        memory: where the model must fit.

    Attributes:
        failure: why the download failed; empty if it did not.
        is_too_large: whether it failed because the model does not fit into the memory.
    """

    supports_pipelining = True

    def __init__(self, own: Any, turn: Turn, memory: Memory | None = None) -> None:
        super().__init__()
        self.failure = ""
        self.is_too_large = False
        self._own = own
        self._turn = turn
        self._memory = memory or Memory()
        self._received = 0
        self._arrays: dict[str, Any] | None = None
        self._views: list[memoryview] = []
        self._ends: list[int] = []
        self._position = 0

    def consume(self, ref_id: str, state: dict[str, Any], data: Any) -> dict[str, Any]:
        """Copy the parts of a reply to their places.

        Raises:
            ValueError: the parts do not belong together, or the model does not fit into the memory.
        """
        if self._received >= SLICE_BYTES:
            self._turn.wait()
        self._received += sum(map(len, data))
        if state.get(_FORMAT) != _VERSION:
            return dict(self._own.consume(ref_id, state, data))
        parts = list(data)
        if self._arrays is None:
            self._allocate(parts.pop(0))
        elif not any(map(len, parts)):
            raise ValueError("received a part of a model without bytes")
        for part in parts:
            self._store(memoryview(part))
        if state.get(_POSITION) != max(self._position, 1):
            raise ValueError(f"received a part that ends at {state.get(_POSITION)!r}, not {self._position}")
        return state

    def download_completed(self, ref_id: str) -> None:
        """Hand over the arrays; the download has failed if a part is missing."""
        if self._arrays is not None:
            if self._position != self._size:
                self.download_failed(ref_id, f"received {self._position} of {self._size} bytes of a model")
                return
            self._own.result = self._arrays
            self._forget()
        self._own.download_completed(ref_id)

    def download_failed(self, ref_id: str, reason: str) -> None:
        """Pass on the reason."""
        self.failure = reason
        self._forget()
        self._own.download_failed(ref_id, reason)

    @property
    def _size(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _allocate(self, table: bytes) -> None:
        layouts = _layouts_in(table)
        try:
            self._memory.require(sum(map(size_of, layouts.values())))
        except ModelTooLarge as error:
            self.is_too_large = True
            _log.error("%s", error)  # the cause; NVFlare's errors about failed downloads are consequences
            raise
        self._arrays = {name: allocate(layout) for name, layout in layouts.items()}
        self._views = [memory_of(self._arrays[name], layout) for name, layout in layouts.items()]
        self._ends = list(accumulate(map(len, self._views)))

    def _store(self, part: memoryview) -> None:
        if self._position + len(part) > self._size:
            raise ValueError("received more bytes of a model than its table announces")
        for index, start in _from(self._ends, self._position):
            view = self._views[index]
            if not (count := min(len(part), len(view) - start)):
                break
            view[start : start + count] = part[:count]
            part = part[count:]
            self._position += count

    def _forget(self) -> None:
        self._arrays, self._views, self._ends, self._position = None, [], [], 0


_turns = Turns()


@contextmanager
def receive(own: Any, sender: str) -> Iterator[ModelReceiver]:
    """Return the receiver of a download for its time; see `ModelReceiver`.

    Raises:
        ModelTooLargeError: the model does not fit into the memory.
        RuntimeError: the download failed for another reason, as NVFlare raises without it.
    """
    with _turns.take(sender) as turn:
        yield (receiver := ModelReceiver(own, turn))
    if receiver.failure:
        kind = ModelTooLargeError if receiver.is_too_large else RuntimeError
        raise kind(f"failed to download from {sender}: {receiver.failure}")


def _layouts_in(table: bytes) -> dict[str, Layout]:
    """Return the layouts of a table.

    Raises:
        ValueError: the table is invalid.
    """
    try:
        rows = json.loads(bytes(table))
        layouts = {
            str(name): Layout(str(library), str(dtype), tuple(shape), order)
            for name, library, dtype, shape, order in rows
        }
    except (TypeError, ValueError) as error:
        raise ValueError(f"the table of a model is invalid: {error}") from error
    if len(layouts) != len(rows):
        raise ValueError("the table of a model is invalid: two arrays have the same name")
    return layouts


def _from(ends: list[int], position: int) -> Iterator[tuple[int, int]]:
    """Yield the index of each array that has bytes at or behind a position, and where they start in it.

    Args:
        ends: positions in the stream at which the arrays end.
        position: position in the stream.
    """
    for index in range(bisect.bisect_right(ends, position), len(ends)):
        start = ends[index - 1] if index else 0
        if ends[index] > start:
            yield index, max(0, position - start)
