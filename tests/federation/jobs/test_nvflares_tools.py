"""NVFlare's own tools with an administrator's kit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.federation.jobs.commands import BIN, ID, SITES, JobsFederation, job_for_five_sites

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
    done = federation.run("console", typed="check_status server\n")
    for site in SITES:
        assert site in done.stdout


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
