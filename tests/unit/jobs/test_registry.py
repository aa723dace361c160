"""Which jobs there are, under which names, and what each needs."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from deploy.errors import MachineError
from deploy.session.submission import exporter
from fl_app.jobs.registry import UnknownJob, available, find


def test_every_job_is_found_by_the_name_it_is_listed_under_and_names_have_no_underscore() -> None:
    names = [job.name for job in available()]
    assert {"hospital", "probe"} <= set(names)
    assert names == sorted(names)
    for name in names:
        assert re.fullmatch("[a-z][a-z0-9-]*", name)
        assert find(name).name == name


def test_an_unknown_name_is_answered_with_the_likely_right_one_and_all_there_are() -> None:
    with pytest.raises(
        UnknownJob, match=r"there is no job 'hopsital'; did you mean hospital\? Jobs: .*probe"
    ):
        find("hopsital")


def test_a_job_says_which_packages_it_lacks_and_what_installs_them() -> None:
    job = replace(find("probe"), needs={"torch": "flarefleet[jobs]", "no_such_package": "flarefleet[robots]"})
    assert job.missing() == (
        "the job probe needs no_such_package, not installed here: pip install 'flarefleet[robots]'"
    )
    with pytest.raises(MachineError, match="needs no_such_package"), exporter(job):
        pass


@pytest.mark.parametrize("job", available(), ids=lambda job: job.name)
def test_every_parameter_of_every_job_has_a_default_and_a_description(job) -> None:
    assert job.description
    job.parameters()
    for name, field in job.parameters.model_fields.items():
        assert field.description, f"{job.name}: {name}"
