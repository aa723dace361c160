"""Local training that depends on the site, the round and every earlier round, and reports each round."""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from typing import Any

import numpy as np

RETRY_SECONDS = 0.5
MARK = "chaos: "
"""Precedes the JSON document of a finished training in the output of a site."""


def trained(received: Any, position: int, number: int) -> Any:
    """Return the array that the site at this position returns in a round (from 1).

    The old model counts 0.9 times, so that a round that is left out, repeated or exchanged with another
    changes all later models. The terms of the sites differ in magnitude: their sum depends on its order.
    """
    before = np.asarray(received, dtype=np.float32)
    pattern = 1 / np.arange(3, 3 + before.size, dtype=np.float32).reshape(before.shape)
    terms = pattern * np.float32(number) * np.float32(7**position)
    return before * np.float32(0.9) + terms


def examples(position: int) -> int:
    """Return the weight of a site."""
    return 3 + 8 * position


def digest(received: Any) -> str:
    """Return a checksum of an array."""
    return f"{zlib.crc32(np.ascontiguousarray(received, dtype=np.float32).tobytes()):08x}"


def report(job_id: str, site: str, number: int, started: float, received: Any) -> None:
    """Print that a site finished a round, in one write, so that no other output divides the line.

    The output of a process is a file on the site's volume. If it is full, wait for room as a training does
    that must save its state.
    """
    document = {
        "job": job_id,
        "site": site,
        "round": number,
        "started": round(started, 3),
        "finished": round(time.time(), 3),
        "model": digest(received),
    }
    line = f"{MARK}{json.dumps(document)}\n".encode()
    while not _is_written(line):
        time.sleep(RETRY_SECONDS)
        line = b"\n" + line.lstrip()


def _is_written(line: bytes) -> bool:
    try:
        return os.write(sys.stdout.fileno(), line) == len(line)
    except OSError:
        return False
