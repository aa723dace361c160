"""Which failures of a site end its job."""

from __future__ import annotations

from typing import Any

import pytest
from nvflare.fuel.common.exit_codes import ProcessExitCode

from fl_app.nvflare_internals.server_jobs import REPORTED_BY_SITE
from fl_app.survival.failures import SiteFailures
from tests.unit.survival.server import Server

LOST, FAILED = ProcessExitCode.INFRASTRUCTURE_ERROR, ProcessExitCode.EXCEPTION


@pytest.mark.parametrize(
    ("min_clients", "runs", "code", "ends"),
    [
        (2, True, FAILED, True),
        (2, True, LOST, True),
        (1, True, FAILED, False),
        (2, False, LOST, False),
        (2, False, FAILED, True),
    ],
    ids=["needs-all", "needs-all-lost", "quorum", "lost-at-the-end", "failed-at-the-end"],
)
def test_a_failure_ends_a_job_that_cannot_go_on(
    server: Server, min_clients: int, runs: bool, code: int, ends: bool
) -> None:
    job_id = server.submit(min_clients=min_clients)
    server.run(job_id, server.register("north", "t1"), server.register("south", "t2"))
    if not runs:
        server.run_processes.clear()
    failed: list[Any] = []

    def fail_run(job_id: str, code: int, fl_ctx: Any) -> str:
        failed.append(code)
        server.exception_run_processes[job_id] = {"process_return_code": code}
        return ""

    server.job_runner.fail_run = fail_run
    SiteFailures(server).install()

    with server.new_context() as fl_ctx:
        server.job_runner.fail_run(job_id, code, fl_ctx)

    assert bool(failed) == ends
    assert not ends or server.exception_run_processes[job_id][REPORTED_BY_SITE]
