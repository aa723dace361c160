"""Reader of W&B's offline runs: LevelDB's log format with one protocol buffer for each record."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

BLOCK, FILE_HEADER, RECORD_HEADER = 32768, 7, 7
FULL, FIRST, LAST = 1, 2, 4


def logged_keys(folder: Path) -> dict[str, set[str]]:
    """Return the logged keys, by the file name of the run."""
    return {file.name: set(_keys(file)) for file in folder.rglob("*.wandb")}


def _keys(file: Path) -> Iterator[str]:
    from wandb.proto.wandb_internal_pb2 import Record

    for content in _records(file.read_bytes()):
        record = Record.FromString(content)
        for item in record.history.item:
            yield item.key or "/".join(item.nested_key)
        for item in record.request.partial_history.item:
            yield item.key or "/".join(item.nested_key)


def _records(data: bytes) -> Iterator[bytes]:
    position, parts = FILE_HEADER, b""
    while position + RECORD_HEADER <= len(data):
        if BLOCK - position % BLOCK < RECORD_HEADER:
            position += BLOCK - position % BLOCK
            continue
        size, kind = struct.unpack_from("<HB", data, position + 4)
        body = data[position + RECORD_HEADER : position + RECORD_HEADER + size]
        position += RECORD_HEADER + size
        parts = body if kind in (FULL, FIRST) else parts + body
        if kind in (FULL, LAST):
            yield parts
