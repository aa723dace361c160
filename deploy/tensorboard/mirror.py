"""Keep a folder of event files up to date with another folder.

Files are only appended to: TensorBoard would not notice that a file it has open was replaced.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.errors import FlarefleetError

INTERVAL_SECONDS = 3.0
PAUSE_FACTOR = 4.0
"""Pause after an update that takes long, in durations of the update."""


def append_new(source: Path, target: Path) -> None:
    """Append to the files below `target` the content that the files below `source` have gained."""
    for file in source.rglob("*"):
        if not file.is_file():
            continue
        own = target / file.relative_to(source)
        size, own_size = file.stat().st_size, own.stat().st_size if own.exists() else 0
        if size == own_size:
            continue
        own.parent.mkdir(parents=True, exist_ok=True)
        if size < own_size:  # the runtime replaced the file
            own.unlink()
            own_size = 0
        with file.open("rb") as read, own.open("ab") as write:
            read.seek(own_size)
            shutil.copyfileobj(read, write)


@contextmanager
def mirrored(
    find: Callable[[], Path | None], target: Path, on_error: Callable[[str], None]
) -> Iterator[None]:
    """Update a folder with the event files of a runtime until the end of the block.

    Args:
        find: returns the folder of event files; None if there is none yet.
        target: the folder to update.
        on_error: called with each new error; the updates continue.
    """
    last_error = ""

    def update() -> None:
        nonlocal last_error
        try:
            if (found := find()) is not None:
                append_new(found, target)
        except (FlarefleetError, OSError) as error:
            if str(error) != last_error:
                last_error = str(error)
                on_error(f"Cannot read the event files: {error}")

    def run() -> None:
        pause = INTERVAL_SECONDS
        while not stop.wait(pause):
            begin = time.monotonic()
            update()
            pause = max(INTERVAL_SECONDS, PAUSE_FACTOR * (time.monotonic() - begin))

    target.mkdir(parents=True, exist_ok=True)
    stop, thread = threading.Event(), threading.Thread(target=run, name="mirror", daemon=True)
    update()
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
