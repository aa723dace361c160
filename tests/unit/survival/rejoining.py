"""A job on two sites, and `Rejoin` with a clock, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fl_app.nvflare_internals.server_jobs import ServerJobs
from fl_app.nvflare_internals.site_jobs import SYNC_SITES
from fl_app.survival.job_status import STATUS
from fl_app.survival.liveness import Liveness
from fl_app.survival.rejoin import (
    POLL_SECONDS,
    Rejoin,
)
from tests.unit.survival.server import Server


class Federation:
    """A job on the sites north and south, and the rejoin under test with its clock."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = Server(folder)
        self.sites = self.server.server.admin_server
        self.job_id = self.server.submit(deploy_map={"app": ["@ALL"]})
        self.server.run(self.job_id, self.server.register("north", "t1"), self.server.register("south", "t2"))
        self.sites.running = {"north": [self.job_id], "south": [self.job_id]}
        self.liveness = Liveness(dict, lambda: self.now)
        monkeypatch.setattr("fl_app.survival.rejoin.liveness_of", lambda engine: self.liveness)
        self.server.job_runner.running_jobs[self.job_id].get_application = lambda app, fl_ctx: b""
        self.now = 1000.0
        self.rejoin = Rejoin(self.server, lambda: self.now)
        self.jobs = ServerJobs(self.server)
        self.answer()

    def answer(self, **status: Any) -> None:
        """Let the server's process of the job answer."""
        self.server.answers = {
            (self.job_id, STATUS): {"ending": False, "asked": {"north": 1.0, "south": 1.0}, "idle": {}}
            | status,
            (self.job_id, SYNC_SITES): {"": ""},
        }

    def pass_time(self, seconds: float = POLL_SECONDS) -> None:
        """Check after some time, and wait until the jobs have been started."""
        self.now += seconds
        for site, jobs in self.sites.running.items():
            self.liveness.heartbeat(site, jobs or ())
        self.rejoin.check()
        self.rejoin._pool.shutdown(wait=True)
        pool = type(self.rejoin._pool)
        self.rejoin._pool = pool(1)

    def restart_parent(self, site: str) -> None:
        """Let the parent of a site be killed and register again."""
        self.sites.running[site] = []
        self.server.register(site, "new")

    def requests(self) -> list[str]:
        """Return the requests to sites since the last call."""
        requests, self.sites.requests = self.sites.requests, []
        return requests

    def tokens(self) -> dict[str, str]:
        return {one.name: one.token for one in self.jobs.participants()[self.job_id]}
