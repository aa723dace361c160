"""What survival did for a job: each intervention is a line of its history and of `watch`, and a metric."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

HISTORY_META = "flarefleet_history"
"""Key of a job's meta that holds its interventions, oldest first, each as `Intervention.document`."""
ABORTED_BY_META = "flarefleet.aborted_by"
"""Key of an aborted job's meta: the administrator."""
MAX_HISTORY = 200
"""Interventions that a job's meta keeps: the first half and the last."""
_MAX_TEXT = 300


class Kind(str, Enum):
    """Kinds of interventions; the label `kind` of `nvflare_job_interventions_total`."""

    RESTARTED = "restarted"
    """A job process that was killed was started again."""
    ADOPTED = "adopted"
    """The server's parent took over a job of its predecessor, with the job processes of the sites."""
    REJOINED = "rejoined"
    """A site came back and runs its part of the job again."""
    REQUEUED = "requeued"
    """The job was put back to SUBMITTED and starts again from its checkpoint."""
    SILENT = "silent"
    """A site sends no sign of life; the server does not wait for its old process any longer."""
    RESUMED = "resumed"
    """The server's job process goes on after the round of its checkpoint."""
    BELOW_QUORUM = "below_quorum"
    """Fewer sites than the quorum answered a round, which is repeated."""
    WAITING = "waiting"
    """A round waits for sites or for disk space, or the results of a job pod wait for disk space."""


@dataclass(frozen=True)
class Intervention:
    """One intervention."""

    kind: Kind
    text: str
    """What happened and why, without the site: `its job process was killed by signal 9; started again`."""
    site: str = ""
    """The site that it concerns; empty for the server."""
    time: float = field(default_factory=time.time)
    """Seconds since 1970."""

    @property
    def line(self) -> str:
        """The intervention as `watch` shows it: `north: killed by signal 9; started again`."""
        return f"{self.site or 'server'}: {self.text}"

    def at(self, site: str) -> Intervention:
        """Return the same intervention for this site."""
        return replace(self, site=site)

    def document(self) -> dict[str, Any]:
        """Return the fields, as a job's meta and a message contain them."""
        return asdict(self) | {"kind": self.kind.value}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Intervention:
        """Return the intervention that a job's meta or a message contains.

        Raises:
            ValueError: the document is not one.
        """
        try:
            return cls(
                Kind(document["kind"]),
                _clean(document["text"]),
                _clean(document.get("site", "")),
                float(document["time"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an intervention: {error}") from error


def _clean(text: object) -> str:
    """Return a text in one line, without characters that could control the reader's terminal."""
    return "".join(one if one.isprintable() else " " for one in str(text))[:_MAX_TEXT]
