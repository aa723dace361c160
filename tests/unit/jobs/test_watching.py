"""How often a job that is watched is asked."""

from __future__ import annotations

import pytest

from deploy.session.watching import pause_after


@pytest.mark.parametrize(
    ("quiet", "seconds"), [(0.0, 0.1), (1.0, 0.1), (10.0, 0.5), (20.0, 1.0), (3600.0, 1.0)]
)
def test_a_job_of_which_nothing_is_new_is_asked_less_often_and_never_seldom(
    quiet: float, seconds: float
) -> None:
    assert pause_after(quiet) == pytest.approx(seconds)
