"""The interface of every runtime: up, down, status, logs, analytics and admin kits.

The backends (process, docker, kubernetes) share one set of tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Protocol, runtime_checkable

from pydantic import BaseModel


class SiteState(str, Enum):
    """State of a server or site."""

    STARTING = "starting"
    READY = "ready"
    """The server accepts jobs; a site is registered and its last contact is recent."""
    NOT_READY = "not ready"
    """It runs, but is no longer ready; see `SiteStatus.reason`."""
    EXITED = "exited"
    """It exited without having been stopped; see `SiteStatus.exit_code`."""
    CANNOT_START = "cannot start"
    """It cannot start without a change, for example because its image is missing or its pod is rejected."""
    STOPPED = "stopped"


class SiteStatus(BaseModel, frozen=True):
    """Current status of a server or site."""

    name: str
    role: str
    """server or client."""
    state: SiteState
    reason: str = ""
    exit_code: int | None = None
    telemetry_url: str | None = None
    """http://HOST:PORT of its telemetry, as reached from this machine."""
    where: str = ""
    """The process id, container or pod."""
    restarts: int = 0
    """How often it died and was started again since `up`."""
    last_exit: str = ""
    """How it exited before it was last started again."""

    @property
    def restart_note(self) -> str:
        """How often it was started again and why, such as `restarted twice, last: was killed by signal 9`."""
        if not self.restarts:
            return ""
        times = "once" if self.restarts == 1 else f"{self.restarts} times"
        return f"restarted {times}{f', last: {self.last_exit}' if self.last_exit else ''}"

    def stopped(self) -> SiteStatus:
        """Return the status of a site that was stopped on purpose, unless it still runs."""
        if self.state is not SiteState.EXITED:
            return self
        update = {"state": SiteState.STOPPED, "reason": "stopped on request", "exit_code": None}
        return self.model_copy(update=update)


class FederationStatus(BaseModel, frozen=True):
    """Current status of a federation."""

    project: str
    runtime: str
    server_address: str | None = None
    """HOST:PORT of the federation port, as reached from this machine."""
    sites: tuple[SiteStatus, ...] = ()

    def of(self, names: Sequence[str]) -> FederationStatus:
        """Return the status of these servers and sites only; of all if there are no names."""
        sites = tuple(site for site in self.sites if site.name in names or not names)
        return self.model_copy(update={"sites": sites})

    @property
    def is_ready(self) -> bool:
        """Return whether the server and every site are ready."""
        return bool(self.sites) and all(site.state is SiteState.READY for site in self.sites)

    @property
    def is_up(self) -> bool:
        """Return whether the server or a site is running, ready or not."""
        return any(site.state not in (SiteState.STOPPED, SiteState.EXITED) for site in self.sites)


StatusCallback = Callable[[FederationStatus], None]
"""Called with each change of the status while a runtime waits."""


@dataclass(frozen=True)
class LogPart:
    """The part of a log to show."""

    tail: int | None = None
    """Number of the last lines; None for all."""
    since: datetime | None = None
    """Only lines from this time on, which has a time zone."""


WHOLE_LOG = LogPart()


class Runtime(Protocol):
    """A backend that runs a federation. All operations are idempotent."""

    name: str

    def up(
        self, progress: StatusCallback | None = None, timeout: float = 60.0, only: Sequence[str] = ()
    ) -> FederationStatus:
        """Start the server and every site, or only some of them, and wait until all of them are ready.

        Replace a server or site if its kit or its settings have changed since it was started.

        Args:
            progress: called with each change of the status.
            timeout: seconds to wait.
            only: the server and sites to start (default: all). The others stay as they are.

        Raises:
            MachineError: this machine lacks something (a free port, an engine). Nothing was started.
            Failed: a site did not become ready in time. The message has its name, the reason and the end of
                its log. Running sites keep running until `down`.
        """
        ...

    def down(self) -> None:
        """Stop what `up` started and nothing else. Keep the workspaces."""
        ...

    def stop(self, names: Sequence[str]) -> None:
        """Stop the server or sites of these names until the next `up`. The others stay as they are."""
        ...

    def status(self) -> FederationStatus:
        """Return the current status, without sites if the federation was never started."""
        ...

    def logs(self, site: str, follow: bool = False, part: LogPart = WHOLE_LOG) -> Iterator[str]:
        """Yield the log lines of the server or a site; with `follow`, also new ones until it exits.

        Raises:
            InputError: no such site.
        """
        ...

    def analytics(self) -> Path | None:
        """Return the local folder of TensorBoard's event files (JOB-ID/SITE), if there is one."""
        ...

    def admin_kit(self, admin: str) -> Path:
        """Return a startup kit of the administrator that reaches the server from this machine.

        Raises:
            Failed: the federation is not running.
        """
        ...


@runtime_checkable
class KeepsVolumes(Protocol):
    """A runtime whose workspaces are volumes, which `down` keeps."""

    def forget(self) -> None:
        """Stop everything and delete the workspaces: every job, model and log."""
        ...
