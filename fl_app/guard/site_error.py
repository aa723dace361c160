"""An error at a site, as the site sends it to the server and the server's log keeps it for `watch`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

SITE_ERROR_TOPIC = "flarefleet.guard.site_error"
"""Topic of the message from a site to the server."""
SITE_ERROR_MARK = "[site error]"
"""Prefix of a site's error in the server's log; a JSON document follows."""
OUTPUT_LINES = 20
"""Lines of output that an error contains."""
MAX_DETAILS = 7000
"""Size of the traceback and the output in bytes; the whole error stays below 8 KiB."""
_MAX_TEXT = 400


@dataclass(frozen=True)
class SiteError:
    """An error at a site: only the exception, its traceback and the last lines of output leave the site."""

    what: str
    """The exception in one line, or what became of the process."""
    where: str = ""
    """FILE:LINE of the user's code that raised."""
    details: str = ""
    """Traceback and last output."""
    site: str = ""
    task: str = ""
    round: int | None = None
    """Number of the round, from 1."""
    ends_site: bool = False
    """Whether the site returns no further result in this job."""
    is_provisional: bool = False
    """Whether it is only shown as long as the site does not answer, and no cause yet."""

    @property
    def line(self) -> str:
        """The error in one line, without the site: `ValueError: negative age in row 7 (client.py:33)`."""
        return f"{self.what} ({self.where})" if self.where else self.what

    @property
    def text(self) -> str:
        """The error with its round, the last frames and the output."""
        first = self.line if self.round is None else f"{self.line}, in round {self.round}"
        return "\n".join([first, *(f"  {line}" for line in self.details.splitlines())])

    def document(self) -> dict[str, Any]:
        """Return the fields, as a site sends them to the server."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any], site: str) -> SiteError:
        """Return the error that `site` sent. Texts are bounded and without control characters."""
        known = {field.name: document[field.name] for field in fields(cls) if field.name in document}
        number = known.get("round")
        return cls(
            what=_clean(str(known.get("what") or "")[:_MAX_TEXT], _MAX_TEXT).replace("\n", " ")
            or "unknown error",
            where=_clean(known.get("where"), _MAX_TEXT).replace("\n", " "),
            details=_clean(known.get("details"), MAX_DETAILS),
            site=site,
            task=_clean(known.get("task"), _MAX_TEXT),
            round=number if isinstance(number, int) else None,
            ends_site=known.get("ends_site") is True,
            is_provisional=known.get("is_provisional") is True,
        )


def site_errors_in(log: str) -> Iterator[SiteError]:
    """Yield the errors of sites in a log of the server, in order."""
    for line in log.splitlines():
        _, mark, document = line.partition(f"{SITE_ERROR_MARK} ")
        if not mark:
            continue
        try:
            found = json.loads(document)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield SiteError.of(found, _clean(found.get("site"), _MAX_TEXT))


def _clean(text: Any, limit: int) -> str:
    """Return the end of a text, without characters that could control the reader's terminal.

    Args:
        text: text of a site.
        limit: maximum size in bytes.
    """
    clean = "".join(one for one in str(text or "") if one.isprintable() or one in "\n\t").encode()
    return clean.decode() if len(clean) <= limit else f"...{clean[-limit:].decode(errors='ignore')}"
