"""Jobs watched, listed, fetched and aborted with the command line."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from deploy.session import AdminKit
from tests.federation.federation import ADMIN, write_project
from tests.federation.jobs.commands import ID, SITES, JobsFederation, job_with_controller

pytestmark = pytest.mark.federation


@pytest.fixture(scope="module")
def interrupted(federation: JobsFederation) -> tuple[str, int, str]:
    """The id of a running job, and the exit code and the output of its `submit` after Ctrl-C."""
    watching = federation.start("submit", "probe", "--set", "rounds=100", "--set", "seconds=1")
    seen = ""
    while "round 1 of 100" not in seen:
        line = watching.stderr.readline()
        assert line, seen
        seen += line
    watching.send_signal(signal.SIGINT)
    _, rest = watching.communicate(timeout=60)
    return ID.search(seen).group(), watching.returncode, rest


def test_ctrl_c_leaves_the_job_running(federation: JobsFederation, interrupted: tuple[str, int, str]) -> None:
    job_id, code, rest = interrupted
    assert code == 130
    assert f"flarefleet watch {job_id}" in rest
    status = {job["id"]: job["status"] for job in json.loads(federation.flarefleet("jobs", "--json").stdout)}
    assert status[job_id] == "RUNNING"


def test_a_running_job_can_be_aborted_but_not_fetched(
    federation: JobsFederation, interrupted: tuple[str, int, str], tmp_path: Path
) -> None:
    job_id = interrupted[0]
    early = federation.flarefleet("fetch", job_id, str(tmp_path / "early"))
    assert early.returncode == 1
    assert "has not ended" in early.stderr
    assert not (tmp_path / "early").exists()

    assert federation.flarefleet("abort", job_id).returncode == 0
    watched = federation.flarefleet("watch", job_id)
    assert watched.returncode == 1
    assert "FINISHED:ABORTED" in watched.stderr
    assert f"server: aborted by {ADMIN}" in watched.stderr
    twice = federation.flarefleet("abort", job_id)
    assert twice.returncode == 1
    assert "has already ended" in twice.stderr


@pytest.mark.parametrize(
    ("controller", "reason"),
    [
        ("Panics", "server: the cohort of 2026 is empty"),
        ("Raises", "  ValueError: no such cohort: 2026"),
    ],
)
def test_the_reason_of_the_server_is_the_reason_of_the_job(
    federation: JobsFederation, tmp_path: Path, controller: str, reason: str
) -> None:
    job_id = federation.submit_folder(job_with_controller(controller, tmp_path))
    done = federation.flarefleet("watch", job_id)
    assert done.returncode == 1
    assert reason in done.stderr.splitlines()
    assert "no log names an error" not in done.stderr


def test_a_watched_federation_may_be_stopped_and_started_again(federation: JobsFederation) -> None:
    job_id = federation.submit("probe", rounds=100, seconds=1)
    with federation.start("watch", job_id) as watching:
        assert watching.stderr is not None
        _await_line(watching.stderr, "round 3 of 100")
        federation.run("down")
        _await_line(watching.stderr, "the server does not answer; trying again")
        federation.run("up", "--runtime", "process")
        _await_line(watching.stderr, "the server answers again")
        _await_line(watching.stderr, "server: resumed after round")
        assert federation.flarefleet("abort", job_id).returncode == 0
        rest = watching.stderr.read()
    assert ": 0 rounds done" not in rest, "the numbers of a site go on"
    assert f"server: aborted by {ADMIN}" in rest


def _await_line(lines: Iterable[str], part: str) -> None:
    seen = []
    for line in lines:
        seen.append(line)
        if part in line:
            return
    raise AssertionError("".join(seen))


def test_an_unknown_job_id_is_rejected(federation: JobsFederation) -> None:
    for command in ("watch", "abort"):
        done = federation.flarefleet(command, "00000000-0000-0000-0000-000000000000")
        assert done.returncode == 2
        assert "there is no job 00000000" in done.stderr


def test_a_kit_of_another_federation_is_rejected(federation: JobsFederation, tmp_path: Path) -> None:
    port = AdminKit.read(federation.admin_kit).port
    other = JobsFederation(write_project(tmp_path, sites=len(SITES), name="jobs", port=port).parent)
    done = other.flarefleet("jobs", "--admin-kit", str(other.admin_kit))
    assert done.returncode == 1
    assert f"localhost:{port}" in done.stderr
    assert ADMIN in done.stderr
    assert "Traceback" not in done.stderr
