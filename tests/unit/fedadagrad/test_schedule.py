"""Sampled sites, learning rate and convergence."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_app.jobs.fedadagrad.schedule import has_plateaued, learning_rate, sample, sample_size

SITES = ["Zurich", "a-clinic", "b_clinic", "z"]


def test_the_learning_rate_halves_every_k_rounds() -> None:
    rates = [learning_rate(0.01, 5, round) for round in range(16)]
    assert rates == [0.01] * 5 + [0.005] * 5 + [0.0025] * 5 + [0.00125]


def test_a_fraction_of_the_sites_is_rounded_up_to_at_least_one() -> None:
    given = [(2, 0.5), (3, 0.5), (4, 0.5), (5, 1.0), (30, 0.1), (10, 0.3), (3, 0.01), (7, 0.99)]
    assert [sample_size(sites, fraction) for sites, fraction in given] == [1, 2, 2, 5, 3, 3, 1, 7]


@settings(deadline=None)
@given(st.integers(1, 200), st.floats(0.001, 1), st.integers(0, 2**32 - 1), st.integers(0, 1000))
def test_a_sample_contains_distinct_existing_sites(
    sites: int, fraction: float, seed: int, round: int
) -> None:
    names = [f"site-{number}" for number in range(sites)]
    chosen = sample(names, fraction, seed, round)
    assert len(chosen) == len(set(chosen)) == sample_size(sites, fraction)
    assert set(chosen) <= set(names)


def test_the_sample_depends_on_the_seed_and_not_on_the_order_of_sites() -> None:
    def samples(sites: list[str], seed: int) -> list[list[str]]:
        return [sample(sites, 0.5, seed, round) for round in range(9)]

    shuffled = random.Random(1).sample(SITES, len(SITES))
    assert samples(SITES, 3) == samples(shuffled, 3) != samples(SITES, 4)


def test_all_sites_train_equally_often() -> None:
    count = Counter(site for round in range(1000) for site in sample(SITES, 0.5, 0, round))
    assert set(count) == set(SITES)
    assert all(430 < times < 570 for times in count.values())


@pytest.mark.parametrize(
    ("losses", "converged"),
    [
        ([], False),
        ([1.0], False),
        ([1.0, 1.0, 1.0], False),  # patience is three epochs
        ([1.0, 1.0, 1.0, 1.0], True),
        ([1.0, 0.9, 0.8, 0.7, 0.6], False),
        ([1.0, 0.5, 0.499, 0.498, 0.497], True),
        ([1.0, 0.5, 0.499, 0.498, 0.4], False),
        ([0.5, 0.9, 0.9, 0.9], True),  # a larger loss is no progress
        ([0.5, 0.9, 0.9, 0.2], False),
        ([0.0, 0.0, 0.0, 0.0], True),
    ],
)
def test_a_plateau_is_a_number_of_epochs_without_progress(losses: list[float], converged: bool) -> None:
    assert has_plateaued(losses, patience=3, tolerance=0.01) is converged
