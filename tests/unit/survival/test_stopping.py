"""The steps of a parent that is told to stop."""

from __future__ import annotations

import time

import pytest

from fl_app import child_process
from fl_app.survival import stopping


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_steps", [])
    monkeypatch.setattr(child_process, "_ending", type(child_process._ending)())


def test_all_steps_run_even_if_one_fails_and_no_job_process_is_started_again() -> None:
    done: list[object] = []

    def fail() -> None:
        done.append(child_process.is_ending())
        raise RuntimeError("no connection")

    stopping.before_exit(fail)
    stopping.before_exit(lambda: done.append("said goodbye"))

    stopping.stop(5.0)

    assert done == [True, "said goodbye"]


def test_a_step_that_hangs_does_not_keep_the_parent_from_exiting() -> None:
    stopping.before_exit(lambda: time.sleep(3))
    started = time.monotonic()

    stopping.stop(0.2)

    assert time.monotonic() - started < 2
