"""Job processes that are killed while their job runs."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from tests.federation.federation import SERVER
from tests.federation.jobs.commands import ID, SITES, JobsFederation
from tests.waiting import eventually

pytestmark = pytest.mark.federation

ROUNDS = 6


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


@pytest.mark.parametrize("name", ["site-1", SERVER])
def test_a_job_completes_with_every_round_although_one_of_its_processes_was_killed(
    federation: JobsFederation, tmp_path: Path, name: str
) -> None:
    watching = federation.start("submit", "probe", "--set", f"rounds={ROUNDS}", "--set", "seconds=1")
    seen = ""
    while f"round 2 of {ROUNDS}" not in seen:
        line = watching.stderr.readline()
        assert line, seen
        seen += line
    job_id = ID.search(seen).group()

    before, after = kill_and_find_next(federation, name, job_id)

    _, rest = watching.communicate(timeout=240)
    assert watching.returncode == 0, rest
    assert after == before
    where = "server" if name == SERVER else name
    assert f"{where}: its job process was killed by signal 9 (SIGKILL); started again" in rest
    assert ": 0 rounds done" not in rest, "the numbers of a site go on"
    for site in SITES:
        last = rest.count(f"  {site}: {ROUNDS - 1} rounds done") + rest.count(
            f"  {site}: {ROUNDS} rounds done"
        )
        assert last, f"{site} trained to the end; `watch` may miss its last round"
    assert ("server: resumed after round" in rest) == (name == SERVER)
    federation.run("fetch", job_id, str(tmp_path / "results"))
    (model,) = (tmp_path / "results").rglob("*.pt")
    numbers = torch.load(model, weights_only=True)["model"]["numbers"]
    assert set(numbers.tolist()) == {float(ROUNDS)}, "each round adds one"


def test_an_abort_after_a_kill_ends_the_job_for_good(federation: JobsFederation) -> None:
    job_id = federation.submit("probe", rounds=100, seconds=1)
    for name in (SERVER, *SITES):
        running_process(federation, name, job_id)
    running_process(federation, "site-1", job_id).kill()
    assert federation.flarefleet("abort", job_id).returncode == 0
    for name in (SERVER, *SITES):
        eventually(lambda one=name: federation.job_process(one, job_id) is None, 60, f"{name} has stopped")
    assert "FINISHED:ABORTED" in federation.flarefleet("watch", job_id).stderr
