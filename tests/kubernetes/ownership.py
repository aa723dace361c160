"""Deletion of a cluster that a run of the tests has created, as soon as its last group of tests has ended.

An idle cluster takes a tenth of a processor from the other tests. The groups run in several workers.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from filelock import FileLock

from tests.kubernetes.cluster import CACHE, CONTEXT, is_up, take_down

OWNER = CACHE / f"cluster-{CONTEXT}.owner"
"""File with the run that deletes the cluster and its groups that have ended; missing: no run deletes it."""


def claim(run: str, owner: Path = OWNER) -> None:
    """Let this run delete the cluster if it does not exist yet, or if an earlier run should have deleted it.

    The caller holds the lock of the cluster.
    """
    if not is_up(CONTEXT) or (owner.exists() and owner.read_text().split()[0] != run):
        owner.write_text(run)


def release(run: str, group: str, groups: Collection[str], lock: FileLock, owner: Path = OWNER) -> None:
    """Note that a group of this run has ended; delete the cluster after the last one.

    Args:
        run: the run of the tests.
        group: the group that has ended.
        groups: all groups of the run that use the cluster.
        lock: the lock of the cluster.
        owner: the file of `claim`.
    """
    with lock:
        name, *ended = owner.read_text().split() if owner.exists() else [""]
        if name != run:
            return
        ended = sorted({*ended, group})
        if set(ended) >= set(groups):
            take_down(CONTEXT)
            owner.unlink()
        else:
            owner.write_text("\n".join([run, *ended]))
