"""A data scientist has a copy of an administrator's kit, and no project.yml."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.documented import commands_in, run
from tests.federation.federation import ADMIN
from tests.federation.jobs.commands import SITES, JobsFederation, run_here

pytestmark = pytest.mark.federation

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def laptop(federation: JobsFederation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder."""
    return tmp_path_factory.mktemp("laptop")


@pytest.fixture(scope="module")
def release(federation: JobsFederation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the release folder of an administrator."""
    folder = tmp_path_factory.mktemp("release") / ADMIN
    shutil.copytree(federation.workspace.release / ADMIN, folder)
    return folder


@pytest.fixture(scope="module")
def flarefleet(release: Path, laptop: Path) -> Command:
    """Run a command in that folder; the environment names the release folder."""
    environment = {"FLAREFLEET_ADMIN_KIT": str(release)}

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = run_here(*arguments, folder=laptop, environment=environment)
        assert done.returncode == code, done.stdout + done.stderr
        assert "project.yml" not in done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def job_id(release: Path) -> str:
    """The id of a job that was submitted as INSTALL.md of the release folder says, and has completed."""
    lines = [one.line for one in commands_in(release / "INSTALL.md")]
    script = "\n".join(lines).replace("submit fibonacci", "submit probe --set rounds=2")
    output = run(f"set -e\n{script}", release)
    assert "client.crt: OK" in output
    assert (release / "results").is_dir()
    submitted = re.search(r"^\w{8}-\w{4}-\w{4}-\w{4}-\w{12}$", output, re.MULTILINE)
    assert submitted, output
    return submitted[0]


def test_the_status_shows_the_sites_with_their_heartbeats(flarefleet: Command) -> None:
    found = json.loads(flarefleet("status", "--json").stdout)
    assert [site["name"] for site in found["sites"]] == list(SITES)
    assert all(site["heartbeat_age_seconds"] < 60 for site in found["sites"])
    assert found["ready"]


def test_the_logs_of_a_job_are_those_of_the_server_and_of_sites_that_share_them(
    flarefleet: Command, job_id: str
) -> None:
    _, *parts = re.split(r"==> (\S+) <==\n", flarefleet("logs", job_id[:10]).stdout)
    logs = dict(zip(parts[::2], parts[1::2], strict=True))
    assert "Server runner finished" in logs["server"]
    assert all("ClientRunner" in logs[site] for site in SITES)


def test_results_are_fetched_into_a_folder_named_after_the_job(
    flarefleet: Command, job_id: str, laptop: Path
) -> None:
    flarefleet("fetch", job_id)
    results = laptop / "results" / f"probe-{job_id[:8]}"
    assert (results / "model" / "FL_global_model.pt").is_file()
    for site in SITES:
        assert list((results / "tb_events" / site).glob("*.tfevents.*"))
        assert "ClientRunner" in (results / "logs" / f"{site}.log.txt").read_text()


def test_a_fetched_job_is_compared_with_one_on_the_server(
    flarefleet: Command, job_id: str, laptop: Path
) -> None:
    compared = json.loads(flarefleet("compare", job_id, f"results/probe-{job_id[:8]}", "--json").stdout)
    rows = {(row["group"], row["name"]): row["values"] for row in compared["rows"]}
    assert rows["parameters", "rounds"] == [2, 2]
    assert rows["job", "rounds"] == [2, 2]
    assert rows["metrics", "site-1: round"] == [2, 2]


def test_a_job_is_deleted_only_after_a_confirmation(flarefleet: Command, job_id: str) -> None:
    assert "--yes" in flarefleet("delete", "latest", code=2).stderr
    assert f"{job_id} (probe) deleted" in flarefleet("delete", "latest", "--yes").stdout
