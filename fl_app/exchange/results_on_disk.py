"""Results that wait for those of other sites: they are kept in a file, not in memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from fl_app.exchange.arrays import ArrayBytes, Layout, allocate, layout_of, memory_of

SMALL_BYTES = 1 << 20
"""Size of an array that stays in memory."""
_PIECE_BYTES = 16 << 20

_log = logging.getLogger(__name__)


class ResultsOnDisk:
    """Keeps results of a job in files that exist only as long as their results.

    Args:
        folder: folder on the server's volume.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return parameters whose large arrays are in a file; the same ones if the volume is full.

        NVFlare calls `materialize` of each when it adds it.
        """
        layouts = {
            name: layout
            for name, array in parameters.items()
            if (layout := layout_of(array)) is not None and array.nbytes >= SMALL_BYTES
        }
        if not layouts:
            return parameters
        kept = dict(parameters)
        try:
            file = TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - the arrays keep it open
            position = 0
            for name, layout in layouts.items():
                array = ArrayBytes(parameters[name], layout)
                for start in range(0, array.size, _PIECE_BYTES):
                    _write(file, memoryview(array.read(start, _PIECE_BYTES)))
                kept[name] = _Kept(file, position, layout)
                position += array.size
        except OSError as error:
            _log.warning("a result that waits for those of other sites stays in memory: %s", error)
            return parameters
        return kept


def _write(file: IO[bytes], view: memoryview) -> None:
    while view:
        view = view[file.write(view) :]


@dataclass(frozen=True)
class _Kept:
    """An array in a file."""

    file: IO[bytes]
    position: int
    layout: Layout

    def materialize(self) -> Any:
        """Return the array.

        Raises:
            OSError: the file cannot be read.
        """
        array = allocate(self.layout)
        view = memory_of(array, self.layout)
        self.file.seek(self.position)
        while view:
            count = self.file.readinto(view)  # type: ignore[attr-defined] # of a file without a buffer
            if not count:
                raise OSError("the file of a waiting result is too short")
            view = view[count:]
        return array
