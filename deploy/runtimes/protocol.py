"""What every runtime promises: up, down, status, logs, and an admin kit that reaches its server.

The backends (process, docker, kubernetes) keep this promise and are tested by the same tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Protocol, runtime_checkable

from pydantic import BaseModel


class SiteState(str, Enum):
    """How a server or site is."""

    STARTING = "starting"
    READY = "ready"
    """The server accepts jobs; the site is registered and its last contact is fresh."""
    NOT_READY = "not ready"
    """It runs, but lost what made it ready; `SiteStatus.reason` says what."""
    EXITED = "exited"
    """It ended although nobody stopped it; see `SiteStatus.exit_code`."""
    CANNOT_START = "cannot start"
    """It waits in vain until somebody does something: no image, a pod that is refused."""
    STOPPED = "stopped"


class SiteStatus(BaseModel, frozen=True):
    """One server or site of a federation, as its runtime sees it now."""

    name: str
    role: str
    """server or client."""
    state: SiteState
    reason: str = ""
    exit_code: int | None = None
    telemetry_url: str | None = None
    """http://HOST:PORT of its telemetry, as reached from this machine."""
    where: str = ""
    """What the runtime knows it by: a process id, a container, a pod."""


class FederationStatus(BaseModel, frozen=True):
    """A federation as its runtime sees it now."""

    project: str
    runtime: str
    server_address: str | None = None
    """HOST:PORT of the federation port, as reached from this machine."""
    sites: tuple[SiteStatus, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether the server and every site are ready."""
        return bool(self.sites) and all(site.state is SiteState.READY for site in self.sites)


Progress = Callable[[FederationStatus], None]
"""Called with each change while a runtime waits."""


class Runtime(Protocol):
    """A place where a federation runs. Every step can be repeated: another `up` or `down` changes nothing."""

    name: str

    def up(self, progress: Progress | None = None, timeout: float = 60.0) -> FederationStatus:
        """Start the server and every site, and wait until all are ready.

        Raises:
            MachineError: something is missing (a port is taken, no engine), found before anything starts.
            Failed: a site did not become ready in `timeout` seconds, with its name and the end of its log;
                what runs is left running, to be looked at, until `down`.
        """
        ...

    def down(self) -> None:
        """Stop all that `up` started and only that; the workspaces stay."""
        ...

    def status(self) -> FederationStatus:
        """The federation as it is now; no sites if it was never up."""
        ...

    def logs(self, site: str, follow: bool = False) -> Iterator[str]:
        """The lines of the log of the server or of a site; with `follow`, for as long as it runs.

        Raises:
            InputError: no such site.
        """
        ...

    def analytics(self) -> Path | None:
        """The folder of TensorBoard's event files (JOB-ID/SITE) on this machine; None if there is none."""
        ...

    def admin_kit(self, admin: str) -> Path:
        """A startup kit of that administrator that reaches this runtime's server from this machine.

        Raises:
            Failed: the federation is not up.
        """
        ...


@runtime_checkable
class KeepsVolumes(Protocol):
    """A runtime whose workspaces are not folders of this machine, and stay until it is told to forget."""

    def forget(self) -> None:
        """Stop all, and remove the workspaces too: every job, model and log."""
        ...
