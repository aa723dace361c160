"""Job processes that are killed while their job runs."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from tests.federation.federation import SERVER, BackgroundCommand
from tests.federation.jobs.commands import ID, SITES, JobsFederation
from tests.waiting import eventually

pytestmark = pytest.mark.federation

ROUNDS = 8


def running_process(federation: JobsFederation, name: str, job_id: str) -> psutil.Process:
    """Return the job process of the server or a site as soon as it is there."""
    eventually(lambda: federation.job_process(name, job_id), 60, f"{name} runs the job")
    process = federation.job_process(name, job_id)
    assert process is not None
    return process


def kill_and_find_next(federation: JobsFederation, name: str, job_id: str) -> tuple[list[str], list[str]]:
    """Kill a job process; return its command line and that of the process that replaces it."""
    killed = running_process(federation, name, job_id)
    command = killed.cmdline()
    killed.kill()
    eventually(lambda: not killed.is_running(), 30, "the parent has noticed the kill")
    return command, running_process(federation, name, job_id).cmdline()


def test_a_job_completes_with_every_round_although_processes_of_a_site_and_the_server_were_killed(
    federation: JobsFederation, tmp_path: Path
) -> None:
    watching = federation.start("submit", "probe", "--set", f"rounds={ROUNDS}", "--set", "seconds=1")
    seen = _read_until(watching, f"round 2 of {ROUNDS}")
    job_id = ID.search(seen).group()

    before, after = kill_and_find_next(federation, "site-1", job_id)
    assert after == before
    seen += _read_until(watching, f"round 4 of {ROUNDS}")
    assert "site-1: its job process was killed by signal 9 (SIGKILL); started again" in seen
    assert "server: its job process" not in seen
    assert "server: resumed" not in seen
    before, after = kill_and_find_next(federation, SERVER, job_id)
    assert after == before

    _, rest = watching.communicate(timeout=240)
    assert watching.returncode == 0, rest
    assert "server: its job process was killed by signal 9 (SIGKILL); started again" in rest
    assert "server: resumed after round" in rest
    assert ": 0 rounds done" not in rest, "the numbers of a site go on"
    for site in SITES:
        last = rest.count(f"  {site}: {ROUNDS - 1} rounds done") + rest.count(
            f"  {site}: {ROUNDS} rounds done"
        )
        assert last, f"{site} trained to the end; `watch` may miss its last round"
    federation.run("fetch", job_id, str(tmp_path / "results"))
    (model,) = (tmp_path / "results").rglob("*.pt")
    numbers = torch.load(model, weights_only=True)["model"]["numbers"]
    assert set(numbers.tolist()) == {float(ROUNDS)}, "each round adds one"


def _read_until(command: BackgroundCommand, text: str) -> str:
    """Return what a command writes to stderr up to the line with this text."""
    seen = ""
    while text not in seen:
        line = command.stderr.readline()
        assert line, seen
        seen += line
    return seen


def test_an_abort_after_a_kill_ends_the_job_for_good(federation: JobsFederation) -> None:
    job_id = federation.submit("probe", rounds=100, seconds=1)
    for name in (SERVER, *SITES):
        running_process(federation, name, job_id)
    running_process(federation, "site-1", job_id).kill()
    assert federation.flarefleet("abort", job_id).returncode == 0
    for name in (SERVER, *SITES):
        eventually(lambda one=name: federation.job_process(one, job_id) is None, 60, f"{name} has stopped")
    assert "FINISHED:ABORTED" in federation.flarefleet("watch", job_id).stderr
