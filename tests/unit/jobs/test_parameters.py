"""Parameters on the command line: the job's own model reads and validates them."""

from __future__ import annotations

import pytest
from pydantic import Field, field_validator

from deploy.errors import InputError
from deploy.session.parameters import read_parameters
from fl_app.jobs.parameters import JobParameters
from fl_app.jobs.registry import JobDescription, available


class _Parameters(JobParameters):
    rounds: int = Field(5, ge=1, le=100)
    """Number of rounds"""
    rate: float = 0.1
    verbose: bool = False
    layers: list[int] = [8]
    note: str = "none"

    @field_validator("note")
    @classmethod
    def _check_note(cls, note: str) -> str:
        if len(note) < 2:
            raise ValueError("must be longer")
        return note


JOB = JobDescription("example", "An example", _Parameters, lambda parameters, sites: None)


def errors(*settings: str) -> tuple[str, ...]:
    with pytest.raises(InputError) as error:
        read_parameters(JOB, settings)
    return error.value.messages


def test_without_settings_every_parameter_has_its_default() -> None:
    assert read_parameters(JOB, ()) == _Parameters()


def test_values_are_read_by_the_types_of_the_fields() -> None:
    read = read_parameters(JOB, ["rounds=7", "rate=1e-3", "verbose=true", "layers=[16, 4]"])
    assert read == _Parameters(rounds=7, rate=0.001, verbose=True, layers=[16, 4])


def test_an_unknown_name_is_rejected_with_a_suggestion_and_all_names() -> None:
    (error,) = errors("round=7")
    assert "did you mean rounds?" in error
    assert "rounds, rate, verbose, layers, note" in error


@pytest.mark.parametrize(
    "setting", ["rounds=0", "rounds=101", "rounds=1.5", "rounds=", "rounds=many", "rounds=true"]
)
def test_an_invalid_value_is_rejected_with_the_valid_range(setting: str) -> None:
    (error,) = errors(setting)
    assert setting in error
    assert "rounds is int, at least 1, at most 100; default: 5" in error


@pytest.mark.parametrize("setting", ["rounds", "=5", "", " =1"])
def test_a_setting_without_name_or_value_is_rejected_with_an_example(setting: str) -> None:
    (error,) = errors(setting)
    assert "must be NAME=VALUE" in error


def test_a_parameter_that_is_set_twice_is_rejected() -> None:
    assert errors("rounds=1", "rounds=2") == ("--set rounds: is set twice",)


def test_a_list_that_is_not_valid_json_is_rejected_as_such() -> None:
    (error,) = errors("layers=[1,2")
    assert error.startswith("--set layers=[1,2: is not valid JSON: ")
    assert error.endswith("; layers is JSON list; default: [8]")


def test_a_text_may_begin_with_a_bracket() -> None:
    assert read_parameters(JOB, ["note=[a"]) == _Parameters(note="[a")


def test_the_message_of_a_validator_is_shown_without_the_words_of_pydantic() -> None:
    (error,) = errors("note=x")
    assert error == "--set note=x: must be longer; note is text; default: none"


def test_all_errors_are_reported_together() -> None:
    assert len(errors("round=7", "rate=fast", "layers=[1,", "verbose")) == 4


@pytest.mark.parametrize("job", available(), ids=lambda job: job.name)
def test_every_parameter_of_every_job_has_a_default_and_a_description(job: JobDescription) -> None:
    assert job.description
    job.parameters()
    for name, field in job.parameters.model_fields.items():
        assert field.description, f"{name} has no description"
