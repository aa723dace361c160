"""NVFlare's error log, which contains the reason why NVFlare exited."""

from __future__ import annotations

from pathlib import Path


class ErrorLog:
    """The lines that NVFlare adds to its error log after this object was created."""

    def __init__(self, workspace: Path) -> None:
        self._file = workspace / "error_log.txt"
        self._offset = self._file.stat().st_size if self._file.exists() else 0

    def lines(self) -> list[str]:
        """Return the lines; none if the file cannot be read."""
        try:
            written = self._file.read_bytes()[self._offset :]
        except OSError:
            return []
        return written.decode("utf-8", errors="replace").strip().splitlines()
