"""A folder of event files that follows another one: files only grow, so that a TensorBoard reads on in them.

A copy of the server's event files, made anew, would be other files to a TensorBoard that has the old ones
open.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from deploy.errors import FlarefleetError

PAUSE_SECONDS = 3.0
"""Between two looks."""


def follow(source: Path, target: Path) -> None:
    """Append to the files below `target` what those below `source` have more."""
    for file in sorted(source.rglob("*")):
        if not file.is_file():
            continue
        own = target / file.relative_to(source)
        have = own.stat().st_size if own.exists() else 0
        with file.open("rb") as there:
            if file.stat().st_size < have:
                have = 0
                own.unlink()
            there.seek(have)
            own.parent.mkdir(parents=True, exist_ok=True)
            with own.open("ab") as here:
                shutil.copyfileobj(there, here)


class Follower:
    """Lets a folder follow what a runtime has, again and again, until it is told to stop.

    Args:
        find: the event files as they are now; None if there are none yet.
        target: the folder that follows.
        complain: told once for each different reason why they cannot be had now.
    """

    def __init__(
        self, find: Callable[[], Path | None], target: Path, complain: Callable[[str], None]
    ) -> None:
        self._find = find
        self._target = target
        self._complain = complain
        self._complaint = ""
        self._stop = threading.Event()
        target.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)

    def __enter__(self) -> Follower:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            self._look()

    def _look(self) -> None:
        try:
            found = self._find()
            if found is not None:
                follow(found, self._target)
        except (FlarefleetError, OSError) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._complain(f"The event files cannot be had now: {error}")
