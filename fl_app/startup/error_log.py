"""NVFlare's log of errors, as far as it tells why NVFlare ended."""

from __future__ import annotations

from pathlib import Path

_REFUSAL = "registration rejected:"
_NOT_REGISTERED = "Login failed."
"""NVFlare's words; after either it gives up."""


class ErrorLog:
    """What NVFlare writes into its log of errors from now on.

    Args:
        workspace: its workspace.
    """

    def __init__(self, workspace: Path) -> None:
        self._file = workspace / "error_log.txt"
        self._begin = self._file.stat().st_size if self._file.exists() else 0

    def lines(self) -> list[str]:
        """All of it; nothing where it cannot be read."""
        try:
            written = self._file.read_bytes()[self._begin :]
        except OSError:
            return []
        return written.decode("utf-8", errors="replace").strip().splitlines()

    def last(self) -> str:
        """Its last line."""
        return (self.lines() or ["it logged no error; see the lines above"])[-1]

    def refusal(self) -> str:
        """Why the server refused to register this site; empty where it did not."""
        said = [line.partition(_REFUSAL)[2] for line in self.lines() if _REFUSAL in line]
        return said[-1].strip() if said else ""

    def lacks_an_answer(self) -> bool:
        """Whether the server did not answer the registration of this site."""
        return self.last().endswith(_NOT_REGISTERED)
