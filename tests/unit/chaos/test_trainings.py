"""What the output of sites proves about a disturbed job."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from benchmarks.chaos.federation import JOB
from benchmarks.chaos.trainings import Training, first_after, models_by_round, parse, summarize

sys.path.append(str(JOB))
from chaos_job.training import examples, report, trained

REFERENCE = {1: "a", 2: "b", 3: "c"}


def training(site: str, number: int, finished: float, model: str = "") -> Training:
    return Training("job", site, number, finished - 1, finished, model or REFERENCE[number])


def test_a_report_is_found_in_output_with_a_prefix(capfd: pytest.CaptureFixture[str]) -> None:
    report("job", "site-1", 3, 12.5, np.ones(4))
    line = f"2026-11-30 INFO {capfd.readouterr().out}"

    (found,) = parse([line, "chaos: {broken", "another line"])

    assert (found.job, found.site, found.round, found.started) == ("job", "site-1", 3, 12.5)


def test_a_report_waits_for_room_on_a_full_volume(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write, failures = os.write, [OSError(28, "No space left on device")]

    def full_once(file: int, line: bytes) -> int:
        if failures:
            raise failures.pop()
        return write(file, line)

    monkeypatch.setattr(os, "write", full_once)
    report("job", "site-1", 3, 12.5, np.ones(4))

    assert len(parse(capfd.readouterr().out.splitlines())) == 1


def test_an_undisturbed_job_passes() -> None:
    done = [training("site-1", number, number) for number in REFERENCE]

    summary = summarize(done, REFERENCE, ["site-1"], 3)

    assert (summary.missing, summary.different, summary.repeated, summary.trained_again) == ((), (), (), 0)


def test_a_training_that_was_lost_may_be_repeated() -> None:
    done = [training("site-1", number, at) for at, number in enumerate([1, 2, 2, 3])]

    summary = summarize(done, REFERENCE, ["site-1"], 3)

    assert summary.repeated == ()
    assert summary.trained_again == 1


def test_a_job_may_go_back_by_the_round_whose_checkpoint_was_being_written() -> None:
    done = [training("site-1", number, at) for at, number in enumerate([1, 2, 3, 2, 3])]

    summary = summarize(done, REFERENCE, ["site-1"], 3)

    assert summary.repeated == ()
    assert summary.trained_again == 2


@pytest.mark.parametrize(
    ("rounds", "repeated"),
    [([1, 2, 3, 2], "round 2 after round 3"), ([1, 2, 3, 1, 2, 3], "round 1 after round 3")],
)
def test_a_round_that_the_job_had_left_behind_may_not_be_repeated(rounds: list[int], repeated: str) -> None:
    done = [training("site-1", number, at) for at, number in enumerate(rounds)]

    assert f"site-1: {repeated}" in summarize(done, REFERENCE, ["site-1"], 3).repeated


def test_a_missing_round_and_a_different_model_are_named() -> None:
    done = [training("site-1", 1, 1), training("site-1", 3, 3, "x"), training("site-2", 1, 1)]

    summary = summarize(done, REFERENCE, ["site-1", "site-2"], 3)

    assert summary.missing == ("site-1: round 2", "site-2: round 2", "site-2: round 3")
    assert summary.different == ("site-1: round 3",)


def test_the_next_training_is_one_that_started_after_the_kill() -> None:
    running, other, after = (
        training("site-1", 1, 10.5),
        training("site-2", 2, 11.6),
        training("site-1", 2, 12),
    )

    assert first_after([after, other, running], 10) == other
    assert first_after([after, other, running], 10, ["site-1"]) == after
    assert first_after([running], 10) is None


def test_a_late_training_of_a_round_that_had_begun_is_no_sign_that_the_server_is_back() -> None:
    begun, late = training("site-1", 2, 10.5), training("site-2", 2, 12)
    again, following = training("site-1", 2, 15), training("site-2", 3, 17)

    assert first_after([begun, late, again], 10) == again
    assert first_after([begun, late, following], 10) == following
    assert first_after([begun, late, again], 10, ["site-2"]) == late


def test_different_models_of_one_round_are_an_error() -> None:
    with pytest.raises(ValueError, match="round 1"):
        models_by_round([training("site-1", 1, 1), training("site-2", 1, 1, "x")])


@pytest.mark.parametrize("rounds", [[1, 3, 2], [1, 2, 2, 3], [1, 3]])
def test_the_model_shows_rounds_that_are_exchanged_repeated_or_left_out(rounds: list[int]) -> None:
    def model(numbers: list[int]) -> bytes:
        weights = np.zeros(100, dtype=np.float32)
        for number in numbers:
            weights = trained(weights, 1, number)
        return weights.tobytes()

    assert model(rounds) != model([1, 2, 3])


def test_the_sum_of_three_sites_depends_on_its_order() -> None:
    terms = [trained(np.ones(1000), position, 3) * np.float32(examples(position)) for position in range(3)]

    assert ((terms[0] + terms[1]) + terms[2]).tobytes() != ((terms[2] + terms[1]) + terms[0]).tobytes()
