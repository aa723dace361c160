"""The names of the jobs, and their required packages."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from deploy.errors import MachineError
from deploy.session.submission import export_process
from fl_app.jobs.registry import UnknownJob, available, find


def test_every_listed_job_is_found_by_its_name() -> None:
    names = [job.name for job in available()]
    assert {"hospital", "probe"} <= set(names)
    assert names == sorted(names)
    for name in names:
        assert re.fullmatch("[a-z][a-z0-9-]*", name)
        assert find(name).name == name


def test_an_unknown_name_is_reported_with_a_suggestion_and_all_names() -> None:
    with pytest.raises(
        UnknownJob, match=r"there is no job 'hopsital'; did you mean hospital\? Jobs: .*probe"
    ):
        find("hopsital")


def test_missing_packages_are_reported_with_their_installation() -> None:
    job = replace(find("probe"), needs={"torch": "flarefleet[jobs]", "no_such_package": "flarefleet[robots]"})
    assert job.missing() == (
        "the job probe needs no_such_package, not installed here: pip install 'flarefleet[robots]'"
    )
    with pytest.raises(MachineError, match="needs no_such_package"), export_process(job):
        pass
