"""NVFlare's own tools with an administrator's kit."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documented import DOCS, commands_in
from tests.federation.federation import ADMIN
from tests.federation.jobs.commands import BIN, ID, SITES, JobsFederation, job_for_five_sites
from tests.patients import write_patients

TUTORIAL = Path(__file__).parents[3] / "examples" / "pytorch-script" / "after"
"""The job of docs/bring-your-pytorch-script.md."""

pytestmark = [pytest.mark.federation, pytest.mark.extended]


def test_nvflares_submit_is_rejected_if_sites_are_missing(federation: JobsFederation, tmp_path: Path) -> None:
    command = [
        *(str(BIN / "nvflare"), "--format", "json", "job", "submit"),
        *("-j", str(job_for_five_sites(tmp_path)), "--startup-kit", str(federation.admin_kit)),
    ]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode != 0
    assert "needs 5 sites, and 2 are registered (site-1, site-2)" in refused.stdout + refused.stderr


def test_nvflares_console_works_with_the_kit(federation: JobsFederation) -> None:
    done = federation.run("console", typed="check_status server\nlist_jobs\n")
    for site in SITES:
        assert site in done.stdout


def test_a_command_of_a_pipe_that_fails_makes_the_console_fail(federation: JobsFederation) -> None:
    done = federation.flarefleet("console", typed="foo_bar\nabort_job nope\nlist_jobs\n")
    assert done.returncode == 1
    assert done.stderr.endswith("The command failed: foo_bar\nThe command failed: abort_job nope\n")


def test_nvflares_job_commands_work_with_the_kit(federation: JobsFederation, tmp_path: Path) -> None:
    exported = federation.run("export", "fibonacci", str(tmp_path / "jobs"))
    kit = ["--startup-kit", str(federation.admin_kit)]
    nvflare = [str(BIN / "nvflare"), "--format", "json", "job"]
    submit = [*nvflare, "submit", "-j", exported.stdout.strip(), *kit]
    submitted = subprocess.run(submit, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    job_id = ID.search(submitted.stdout).group()
    listed = subprocess.run(
        [*nvflare, "list", *kit], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert job_id in listed.stdout
    assert federation.flarefleet("watch", job_id).returncode == 0


def test_a_script_of_nvflare_runs_by_itself_and_is_submitted(
    federation: JobsFederation, tmp_path: Path
) -> None:
    script = Path(__file__).with_name("stock_script")
    own_kit = shutil.copytree(federation.admin_kit, tmp_path / "kit")  # NVFlare downloads results into it
    words = ["--kit", str(own_kit), "--user", ADMIN, "--rounds", "3"]
    alone = subprocess.Popen(
        [sys.executable, "job.py", *words],
        cwd=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    data = write_patients(tmp_path / "data")
    lines = [one.line for one in commands_in(DOCS / "bring-your-pytorch-script.md")]
    (line,) = [line for line in lines if line.startswith("flarefleet submit")]
    line = line.replace("./after", f"{TUTORIAL} --admin-kit {federation.admin_kit}")
    line = line.replace("--rounds 10", f"--rounds 3 --data {data}")
    done = federation.flarefleet(*shlex.split(line)[1:])

    assert done.returncode == 0, done.stderr
    assert "submitted to 2 sites" in done.stderr
    assert "patients: FINISHED:COMPLETED after 0:" in done.stderr
    assert "round 3 of 3" in done.stderr
    heading, first, second, best, following = done.stderr.splitlines()[-5:]
    assert heading == "final metrics:"
    for line, site in zip((first, second), SITES, strict=True):
        assert re.fullmatch(rf"  {site}: accuracy 0\.[89]\d*, loss 0\.\d+", line)
    assert re.fullmatch(r"best model: after round [12] \(accuracy 0\.[89]\d*\)", best)
    assert following == (f"Next: flarefleet fetch {done.stdout.strip()} --admin-kit {federation.admin_kit}")
    output, _ = alone.communicate(timeout=240)
    assert alone.returncode == 0, output
    assert "status: FINISHED:COMPLETED" in output
