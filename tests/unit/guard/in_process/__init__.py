"""A job in this process: NVFlare's own server runner and controllers, two sites, and the guard at each.

Only the network and the processes are missing: the sites call the server's runner directly.
"""

from __future__ import annotations

import threading
from pathlib import Path

from nvflare.apis.utils.decomposers import flare_decomposers
from nvflare.app_common.decomposers import common_decomposers

from tests.unit.guard.in_process.job import Ended, Job, Memory, Train
from tests.unit.guard.in_process.server import ServerEngine
from tests.unit.guard.in_process.site import Site

__all__ = ["Ended", "Job", "Memory", "Train", "run"]

TIMEOUT = 30.0
"""Seconds for a job."""


def run(job: Job, folder: Path, guarded: bool = True) -> Ended:
    """Run a job until it ends.

    Args:
        job: the job.
        folder: empty folder for the server's workspace.
        guarded: whether the server and the sites have a guard; without one this is stock NVFlare.
    """
    flare_decomposers.register()
    common_decomposers.register()
    engine = ServerEngine(job, folder, guarded)
    server = threading.Thread(target=engine.runner.run, daemon=True)
    sites = [
        threading.Thread(target=Site(name, job, engine, guarded).work, daemon=True) for name in job.sites
    ]
    for thread in (server, *sites):
        thread.start()
    for thread in (server, *sites):
        thread.join(TIMEOUT)
        if thread.is_alive():
            engine.runner.abort_signal.trigger(True)
            raise AssertionError(f"the job has not ended within {TIMEOUT:.0f} s")
    for memory in [one for one in job.components.values() if isinstance(one, Memory)]:
        engine.ended.initial, engine.ended.models = memory.parameters, memory.saved
    return engine.ended
