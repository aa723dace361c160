"""Servers and sites that die in the process runtime: they are started again, and `status` says why."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psutil
import pytest

from deploy.runtimes.protocol import SiteState
from tests.federation.federation import SERVER, Federation, running
from tests.processes import is_running
from tests.waiting import eventually

pytestmark = pytest.mark.federation

NAMES = (SERVER, "site-1")


@pytest.fixture(scope="module")
def module_federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with running(tmp_path_factory.mktemp("restarts"), Federation, sites=1) as federation:
        yield federation


@pytest.fixture
def federation(module_federation: Federation) -> Federation:
    """The federation of this module, which is ready, and whose records are new."""
    module_federation.down()
    module_federation.up()
    return module_federation


def is_ready_again(federation: Federation, name: str, restarts: int) -> bool:
    site = federation.site(name)
    return site.state is SiteState.READY and site.restarts == restarts


def runtime_supervisors(federation: Federation) -> list[psutil.Process]:
    processes = federation.run_folder.processes()
    return [one for one in processes if "deploy.runtimes.process.supervisor" in one.cmdline()]


def test_a_parent_that_is_killed_is_started_again_and_status_says_why(federation: Federation) -> None:
    supervisor = federation.supervisor("site-1")
    for restarts in (1, 2):
        federation.parent("site-1").kill()
        eventually(lambda n=restarts: is_ready_again(federation, "site-1", n), 40, "the site is ready again")

    assert federation.site("site-1").last_exit == "was killed by signal 9"
    assert federation.supervisor("site-1") == supervisor
    words = federation.run("status").stdout.split()  # the columns wrap their text
    assert {"restarted", "killed", "signal"} <= set(words)
    sites = json.loads(federation.run("status", "--json").stdout)["sites"]
    assert [site["restarts"] for site in sites] == [0, 2]


def test_a_site_whose_supervisor_is_killed_is_started_again(federation: Federation) -> None:
    parent = federation.parent("site-1")

    federation.supervisor("site-1").kill()

    eventually(lambda: is_ready_again(federation, "site-1", 1), 40, "the site is ready again")
    assert federation.site("site-1").last_exit == "was killed by signal 9"
    eventually(lambda: not is_running(parent), 20, "the former parent has ended")


def test_up_takes_over_what_runs_without_the_supervisor_of_the_runtime(federation: Federation) -> None:
    (before,) = runtime_supervisors(federation)
    before.kill()
    started = federation.start_times()

    federation.up()

    assert federation.start_times() == started
    assert len(runtime_supervisors(federation)) == 1
    federation.supervisor("site-1").kill()
    eventually(lambda: is_ready_again(federation, "site-1", 1), 40, "the site is ready again")
    assert federation.site("site-1").last_exit == "was killed"


def test_up_works_after_every_process_was_killed(federation: Federation) -> None:
    processes = federation.run_folder.processes()
    for process in processes:
        process.kill()
    for name in NAMES:  # as a machine that lost its power would leave them
        for stale in ("restart.fl", "shutdown.fl", "pid.fl", "daemon_pid.fl"):
            (federation.run_folder.workspace(name) / stale).write_text("1")

    status = federation.up()

    assert status.is_ready
    assert not any(map(is_running, processes))


def test_a_site_that_is_stopped_logs_out_and_is_not_started_again(federation: Federation) -> None:
    def is_registered() -> bool:
        return federation.metric(SERVER, "nvflare_registered", site="site-1", role="server") == 1

    assert is_registered()

    federation.supervisor("site-1").terminate()

    eventually(lambda: not is_registered(), 5, "the server knows")
    eventually(lambda: federation.site("site-1").state is SiteState.EXITED, 5, "the site has stopped")
    assert federation.site("site-1").reason == "stopped on request"
    assert federation.up().is_ready
    assert is_registered()
    federation.down()
    assert federation.run_folder.processes() == []


def test_nothing_is_started_again_after_up_no_restart(federation: Federation) -> None:
    federation.run("up", "--no-restart")

    federation.parent("site-1").kill()

    eventually(lambda: federation.site("site-1").state is SiteState.EXITED, 20, "the site has exited")
    assert (federation.site("site-1").exit_code, federation.site("site-1").restarts) == (137, 0)
    federation.run("up")
    assert federation.status().is_ready
