"""Keep a folder of event files up to date with another folder.

Files are only appended to: TensorBoard would not notice that a file it has open was replaced.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from deploy.errors import FlarefleetError

INTERVAL_SECONDS = 3.0


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


class Mirror:
    """Updates a folder with the event files of a runtime until it is closed.

    Args:
        find: returns the folder of event files; None if there is none yet.
        target: the folder to update.
        on_error: called with each new error; the mirror continues.
    """

    def __init__(
        self, find: Callable[[], Path | None], target: Path, on_error: Callable[[str], None]
    ) -> None:
        self._find = find
        self._target = target
        self._on_error = on_error
        self._last_error = ""
        self._stop = threading.Event()
        target.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def __enter__(self) -> Mirror:
        self._update()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            self._update()

    def _update(self) -> None:
        try:
            found = self._find()
            if found is not None:
                append_new(found, self._target)
        except (FlarefleetError, OSError) as error:
            if str(error) != self._last_error:
                self._last_error = str(error)
                self._on_error(f"Cannot read the event files: {error}")
