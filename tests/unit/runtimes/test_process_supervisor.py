"""The supervisor of the process runtime, with a program that sleeps in place of a site."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from deploy.runtimes.process.observation import observe
from deploy.runtimes.process.run_folder import ENV_RUN_FOLDER, FederationSpec, ParentSpec, ProcessRunFolder
from deploy.runtimes.protocol import SiteState, SiteStatus
from fl_app.contract import ENV_RESTART, ENV_WORKSPACE
from tests.processes import is_running
from tests.waiting import eventually

SUPERVISOR = """
import sys
from deploy.runtimes.process import supervisor

supervisor.RETRY_SECONDS = 0.2
sys.executable = sys.argv[1]
sys.exit(supervisor.main(sys.argv[2:]))
"""
SITE = """#!/bin/sh
echo "$FLARE_RESTARTS $FLARE_LAST_EXIT" >> starts
trap "echo 'flarefleet: stopped'; exit 0" TERM
if [ -e exits ]; then exit "$(cat exits)"; fi
while true; do sleep 0.05; done
"""


class Supervised:
    """A run folder with one site, and its supervisors."""

    def __init__(self, root: Path) -> None:
        self.folder = ProcessRunFolder(root / "run")
        self.folder.make()
        self.program = root / "program"
        self.program.write_text(SITE)
        self.program.chmod(0o700)
        self.supervisors: list[subprocess.Popen[bytes]] = []
        self.write_spec()

    def write_spec(self, credentials: Path | None = None, **environment: str) -> None:
        site = ParentSpec(
            name="site-1",
            role="client",
            parent_port=1,
            telemetry_port=1,
            credentials=credentials,
            environment={ENV_WORKSPACE: str(self.folder.workspace("site-1")), **environment},
        )
        self.folder.write_spec(FederationSpec(project="clinics", server_address="", members=(site,)))

    def start(self) -> psutil.Process:
        """Start a supervisor, and return the process of the site."""
        self.launch()
        return self.site()

    def launch(self) -> None:
        """Start a supervisor, and wait until it is the owner of the site."""
        command = [sys.executable, "-c", SUPERVISOR, str(self.program), str(self.folder.root), "site-1"]
        self.supervisors.append(
            subprocess.Popen(command, env=os.environ | {ENV_RUN_FOLDER: str(self.folder.root)})
        )
        eventually(lambda: self._owner() == self.supervisors[-1].pid, what="it is the owner")
        with self.folder.changing("site-1"):  # it has started the site, or taken it over
            pass

    def _owner(self) -> int | None:
        owner = self.folder.owner("site-1")
        return owner.pid if owner else None

    def site(self) -> psutil.Process:
        def process() -> psutil.Process | None:
            record = self.folder.record("site-1")
            return record.process() if record else None

        return eventually(process, what="the site runs")

    def starts(self) -> list[str]:
        return (self.folder.workspace("site-1") / "starts").read_text().splitlines()

    def status(self) -> SiteStatus:
        spec = self.folder.spec()
        assert spec is not None
        return observe(self.folder, spec)[0]

    def end(self) -> None:
        processes = [psutil.Process(one.pid) for one in self.supervisors if one.poll() is None]
        for process in [*processes, *self.folder.processes(["site-1"])]:
            with suppress(psutil.Error):
                process.kill()
        for supervisor in self.supervisors:
            supervisor.wait()


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    made = Supervised(tmp_path)
    yield made
    made.end()


def test_a_killed_site_is_started_again_and_is_told_how_often(supervised: Supervised) -> None:
    for number in range(3):
        site = supervised.site() if number else supervised.start()
        site.kill()
        eventually(lambda gone=site: supervised.site() != gone, what="it runs again")

    eventually(lambda: len(supervised.starts()) == 4, what="it has started four times")
    assert supervised.starts() == ["0 ", *(f"{n} was killed by signal 9" for n in (1, 2, 3))]
    assert (supervised.status().restarts, supervised.status().last_exit) == (3, "was killed by signal 9")


def test_a_site_that_waits_for_its_next_start_is_starting(supervised: Supervised) -> None:
    supervised.start().kill()
    eventually(lambda: len(supervised.starts()) == 2, what="it runs again")
    supervised.site().kill()  # the second restart has a delay of a second

    eventually(lambda: supervised.status().reason == "starting again", 5, "it is about to start", pause=0.01)
    assert supervised.status().state is SiteState.STARTING
    eventually(lambda: len(supervised.starts()) == 3, what="it runs again")


def test_a_site_that_exits_is_not_started_again(supervised: Supervised) -> None:
    supervised.folder.workspace("site-1").mkdir()
    (supervised.folder.workspace("site-1") / "exits").write_text("13")

    supervised.launch()

    assert supervised.supervisors[-1].wait(5) == 0
    assert (supervised.status().state, supervised.status().exit_code) == (SiteState.EXITED, 13)


def test_a_killed_site_stays_down_if_restarts_are_disabled(supervised: Supervised) -> None:
    supervised.write_spec(**{ENV_RESTART: "false"})

    supervised.start().kill()

    assert supervised.supervisors[-1].wait(5) == 0
    assert (supervised.status().state, supervised.status().exit_code) == (SiteState.EXITED, 137)


@pytest.mark.parametrize("number", [9, 15])
def test_a_second_supervisor_takes_over_a_site_that_runs(supervised: Supervised, number: int) -> None:
    site = supervised.start()
    supervised.supervisors[0].kill()
    assert supervised.start() == site

    site.send_signal(number)

    if number == 15:  # a stop on request, as the last line of its log says
        assert supervised.supervisors[-1].wait(5) == 0
        assert supervised.status().reason == "stopped on request"
    else:
        eventually(lambda: supervised.starts() == ["0 ", "1 was killed"], what="it runs again")


def test_a_supervisor_that_is_no_longer_the_owner_starts_nothing(supervised: Supervised) -> None:
    site = supervised.start()
    with supervised.folder.changing("site-1"):
        supervised.folder.write_owner("site-1", None)

    site.kill()

    assert supervised.supervisors[-1].wait(5) == 0
    assert not is_running(site)
    assert supervised.starts() == ["0 "]


def test_a_site_that_cannot_be_started_again_now_is_started_later(supervised: Supervised) -> None:
    credentials = supervised.folder.root / "tracking.env"
    credentials.write_text("")
    credentials.chmod(0o600)
    supervised.write_spec(credentials)
    site = supervised.start()
    credentials.rename(credentials.with_suffix(".moved"))
    site.kill()
    eventually(lambda: not is_running(site), what="the site was killed")
    time.sleep(0.5)
    assert len(supervised.starts()) == 1
    credentials.with_suffix(".moved").rename(credentials)
    eventually(lambda: len(supervised.starts()) == 2, what="the site runs again")


def test_the_log_of_an_earlier_start_is_not_the_log_of_this_one(supervised: Supervised) -> None:
    log = supervised.folder.log("site-1")
    log.parent.mkdir()
    log.write_text("an error of an earlier start\n")

    supervised.start().kill()
    eventually(lambda: len(supervised.starts()) == 2, what="it runs again")
    with log.open("a") as file:
        file.write("a line of this start\n")

    assert supervised.folder.last_lines("site-1") == ["a line of this start"]
