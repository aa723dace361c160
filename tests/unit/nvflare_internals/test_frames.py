"""The size of frames on fast and slow links."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from nvflare.fuel.f3.message import Message
from nvflare.fuel.f3.streaming import byte_streamer
from nvflare.fuel.f3.streaming.blob_streamer import BlobStream
from nvflare.fuel.f3.streaming.stream_const import StreamHeaderKey

from fl_app.nvflare_internals import frames
from fl_app.nvflare_internals.frames import FRAME_BYTES, WINDOW_BYTES, send_large_frames_on_fast_links

SMALL = 1 << 18
MEGABYTES = 1 << 20


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Install the frames, with a clock."""
    monkeypatch.setattr(byte_streamer, "TxTask", byte_streamer.TxTask)
    clock = Clock()
    monkeypatch.setattr(frames, "monotonic", clock)
    send_large_frames_on_fast_links()
    return clock


def stream_to(target: str) -> Any:
    blob = BlobStream(b"1", {})
    return byte_streamer.TxTask(None, SMALL, "channel", "topic", target, {}, blob, False, False, False)


def acknowledge(stream: Any, size: int) -> None:
    stream.handle_ack(Message({StreamHeaderKey.OFFSET: size}, None))


def test_a_link_that_was_fast_gets_large_frames(clock: Clock) -> None:
    first = stream_to("site-1")
    assert first.chunk_size == SMALL
    clock.now += 1
    acknowledge(first, 16 * MEGABYTES)

    second = stream_to("site-1")

    assert second.chunk_size == FRAME_BYTES
    assert second.window_size >= WINDOW_BYTES
    assert stream_to("site-2").chunk_size == SMALL


def test_a_link_that_was_slow_gets_small_frames(clock: Clock) -> None:
    first = stream_to("site-1")
    clock.now += 16
    acknowledge(first, 16 * MEGABYTES)

    assert stream_to("site-1").chunk_size == SMALL


def test_a_fast_link_that_slows_down_gets_small_frames_again(clock: Clock) -> None:
    for seconds in (1, 20):
        stream = stream_to("site-1")
        clock.now += seconds
        acknowledge(stream, 16 * MEGABYTES)

    assert stream_to("site-1").chunk_size == SMALL


def test_a_short_message_says_nothing_about_a_link(clock: Clock) -> None:
    first = stream_to("site-1")
    clock.now += 0.001
    acknowledge(first, 1000)

    assert stream_to("site-1").chunk_size == SMALL


def test_installing_it_twice_changes_nothing(clock: Clock) -> None:
    installed = byte_streamer.TxTask

    send_large_frames_on_fast_links()

    assert byte_streamer.TxTask is installed
