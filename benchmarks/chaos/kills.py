"""The kills: what each does to which part of a federation, and on which runtimes it exists.

This is the one description that the matrix, the random walk and the tests share. It holds no code.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

SERVER, SITE = "flare-server", "site-1"
"""The parts that kills concern. Other sites are left alone, unless a kill concerns all."""


class Fault(str, Enum):
    """Faults; each runtime knows how to begin and to end them."""

    KILL_PARENT = "kill parent"
    """SIGKILL to NVFlare's parent."""
    KILL_SUPERVISOR = "kill supervisor"
    """SIGKILL to the first process of a server or site: process 1 of its container."""
    KILL_JOB = "kill job"
    """SIGKILL to the job's process or pod."""
    TERMINATE = "terminate"
    """SIGTERM, as a container engine stops a container."""
    FREEZE = "freeze"
    """SIGSTOP to all processes; it ends with SIGCONT."""
    CUT = "cut"
    """Packets between the site and the server are dropped; when it ends, old connections stay dead."""
    FILL_DISK = "fill disk"
    """The volume of the workspace is full; when it ends, there is room again."""
    KILL_ALL = "kill all"
    """SIGKILL to every process of the federation, supervisors included: the machine lost its power."""
    DELETE_POD = "delete pod"
    EVICT = "evict"
    DRAIN = "drain"
    """Drain the node; it ends with uncordon."""
    KILL_NODE = "kill node"
    """SIGKILL to the node; it ends when the node is started again."""


PROCESSES, CONTAINERS, KUBERNETES, JOB_PODS = "process", "docker", "kubernetes", "kubernetes-pods"
"""Runtimes; in the last one, each job runs in a pod of its own."""
LOCAL = (PROCESSES, CONTAINERS)
CLUSTER = (KUBERNETES, JOB_PODS)
ALL = (*LOCAL, *CLUSTER)


@dataclass(frozen=True)
class Kill:
    """One row of the matrix."""

    name: str
    faults: tuple[tuple[Fault, str], ...]
    """Faults that begin at once, each with the server or site."""
    seconds: float = 0.0
    """Duration of the faults; 0 for those without an end."""
    runtimes: tuple[str, ...] = ALL
    started_again: tuple[str, ...] = ()
    """Runtimes on which an administrator calls `up` afterwards, as the part was stopped on request."""
    mid_upload: bool = False
    """The model is large and the network slow; the fault begins in the middle of the site's upload."""

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that must train again; empty if any site counts."""
        return tuple(name for _, name in self.faults if name != SERVER)


KILLS = (
    Kill("server parent", ((Fault.KILL_PARENT, SERVER),)),
    Kill("server job", ((Fault.KILL_JOB, SERVER),)),
    Kill("site parent", ((Fault.KILL_PARENT, SITE),)),
    Kill("site job", ((Fault.KILL_JOB, SITE),)),
    Kill("server and site parents", ((Fault.KILL_PARENT, SERVER), (Fault.KILL_PARENT, SITE))),
    Kill("server supervisor", ((Fault.KILL_SUPERVISOR, SERVER),)),
    Kill("site supervisor", ((Fault.KILL_SUPERVISOR, SITE),)),
    Kill("everything", ((Fault.KILL_ALL, SERVER),), started_again=(PROCESSES,)),
    Kill("cut 20 s", ((Fault.CUT, SITE),), seconds=20),
    Kill("cut 6 min in mid-upload", ((Fault.CUT, SITE),), seconds=360, mid_upload=True),
    Kill("full disk at the server", ((Fault.FILL_DISK, SERVER),), seconds=20),
    Kill("full disk at a site", ((Fault.FILL_DISK, SITE),), seconds=20),
    Kill("SIGTERM server", ((Fault.TERMINATE, SERVER),), started_again=LOCAL),
    Kill("SIGTERM site", ((Fault.TERMINATE, SITE),), started_again=LOCAL),
    Kill("SIGSTOP server 60 s", ((Fault.FREEZE, SERVER),), seconds=60),
    Kill("SIGSTOP site 60 s", ((Fault.FREEZE, SITE),), seconds=60),
    Kill("server pod deleted", ((Fault.DELETE_POD, SERVER),), runtimes=CLUSTER),
    Kill("site pod deleted", ((Fault.DELETE_POD, SITE),), runtimes=CLUSTER),
    Kill("server evicted", ((Fault.EVICT, SERVER),), runtimes=CLUSTER),
    Kill("site evicted", ((Fault.EVICT, SITE),), runtimes=CLUSTER),
    Kill("node of the server drained", ((Fault.DRAIN, SERVER),), seconds=30, runtimes=CLUSTER),
    Kill("node of the site drained", ((Fault.DRAIN, SITE),), seconds=30, runtimes=CLUSTER),
    Kill("node of the site killed", ((Fault.KILL_NODE, SITE),), seconds=10, runtimes=CLUSTER),
    Kill("node of the server killed", ((Fault.KILL_NODE, SERVER),), seconds=10, runtimes=CLUSTER),
)

REDUCED = ("server parent", "server job", "site parent", "site job", "SIGTERM site")
"""Rows on processes that every CI run includes."""


def kill(name: str) -> Kill:
    """Return the kill of that name."""
    return next(one for one in KILLS if one.name == name)


def kills_of(runtime: str) -> tuple[Kill, ...]:
    """Return the kills of a runtime, in the order of the table."""
    return tuple(one for one in KILLS if runtime in one.runtimes)
