"""Parameters of a job on the command line: read by the job's own model, refused before anything is
submitted."""

from __future__ import annotations

import pytest
from pydantic import Field

from deploy.errors import InputError
from deploy.session.parameters import find_job, read_parameters
from fl_app.jobs.parameters import JobParameters
from fl_app.jobs.registry import JobDescription, available


class _Parameters(JobParameters):
    rounds: int = Field(5, ge=1, le=100)
    """How often."""
    rate: float = 0.1
    verbose: bool = False
    layers: list[int] = [8]


JOB = JobDescription("example", "An example", _Parameters, lambda parameters, sites: None)


def mistakes(*settings: str) -> tuple[str, ...]:
    with pytest.raises(InputError) as error:
        read_parameters(JOB, settings)
    return error.value.messages


def test_without_settings_every_parameter_has_its_default() -> None:
    assert read_parameters(JOB, ()) == _Parameters()


def test_values_are_read_as_the_job_declares_them() -> None:
    read = read_parameters(JOB, ["rounds=7", "rate=1e-3", "verbose=true", "layers=[16, 4]"])
    assert read == _Parameters(rounds=7, rate=0.001, verbose=True, layers=[16, 4])


def test_an_unknown_name_is_refused_with_the_likely_right_one_and_all_there_are() -> None:
    (mistake,) = mistakes("round=7")
    assert "did you mean rounds?" in mistake
    assert "rounds, rate, verbose, layers" in mistake


@pytest.mark.parametrize(
    "setting", ["rounds=0", "rounds=101", "rounds=1.5", "rounds=", "rounds=many", "rounds=true"]
)
def test_a_value_that_the_job_does_not_take_is_refused_with_what_it_takes(setting: str) -> None:
    (mistake,) = mistakes(setting)
    assert setting in mistake
    assert "rounds is int, at least 1, at most 100; default 5" in mistake


@pytest.mark.parametrize("setting", ["rounds", "=5", "", " =1"])
def test_a_setting_without_name_or_value_is_refused_with_an_example(setting: str) -> None:
    (mistake,) = mistakes(setting)
    assert "must be NAME=VALUE" in mistake


def test_a_parameter_set_twice_is_refused() -> None:
    assert mistakes("rounds=1", "rounds=2") == ("--set rounds: is set twice",)


def test_all_mistakes_are_told_at_once() -> None:
    assert len(mistakes("round=7", "rate=fast", "layers=[1,", "verbose")) == 4


def test_an_unknown_job_is_refused_with_the_likely_right_one() -> None:
    with pytest.raises(InputError, match=r"no job 'hospitals'; did you mean hospital\?"):
        find_job("hospitals")


@pytest.mark.parametrize("job", available(), ids=lambda job: job.name)
def test_every_job_of_the_kit_runs_with_its_defaults_and_describes_each_parameter(
    job: JobDescription,
) -> None:
    assert job.description
    job.parameters()
    for name, field in job.parameters.model_fields.items():
        assert field.description, f"{name} has no description"
