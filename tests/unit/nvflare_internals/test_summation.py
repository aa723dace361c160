"""NVFlare adds up results in the order of the sites' names, whatever the order of their arrival."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper

from fl_app.exchange.results_on_disk import ResultsOnDisk
from fl_app.nvflare_internals.summation import sum_in_order_of_sites

SITES = ("a", "b", "c", "d")
NUMBERS = {"a": 1e8, "b": 1.0, "c": -1e8, "d": 3.0}


class Lazy:
    """Weights that are loaded when they are added."""

    loaded: list[str] = []

    def __init__(self, site: str) -> None:
        self._site = site

    def materialize(self) -> Any:
        self.loaded.append(self._site)
        return np.float32([NUMBERS[self._site]])


@pytest.fixture(autouse=True)
def in_order() -> None:
    sum_in_order_of_sites(lambda: SITES)


def add(helper: WeightedAggregationHelper, site: str) -> None:
    helper.add(
        data={"w": np.float32([NUMBERS[site]])}, weight=1.0, contributor_name=site, contribution_round=0
    )


@pytest.mark.parametrize("sites", [SITES, ("a", "c", "d"), ("d", "b")], ids=str)
def test_a_sum_does_not_depend_on_the_order_of_arrival(sites: tuple[str, ...]) -> None:
    found = set()
    for order in permutations(sites):
        helper = WeightedAggregationHelper()
        for site in order:
            add(helper, site)
        assert helper.get_len() == len(sites)
        assert [one["contributor_name"] for one in helper.get_history()] != []
        assert helper.get_aggregation_stats()["accepted_contributions"] == len(sites)
        found.add(float(helper.get_result()["w"][0]))
        assert helper.get_len() == 0

    assert len(found) == 1


def test_a_result_waits_only_for_the_sites_before_it() -> None:
    Lazy.loaded.clear()
    helper = WeightedAggregationHelper()

    loaded = []
    for site in ("c", "a", "b", "d"):
        helper.add({"w": Lazy(site)}, 1.0, site, 0)
        loaded.append("".join(Lazy.loaded))

    assert loaded == ["", "a", "abc", "abcd"]


def test_a_result_that_cannot_be_added_does_not_take_others_with_it() -> None:
    helper = WeightedAggregationHelper()
    helper.add({"w": np.ones(2)}, 1.0, "c", 0)
    helper.add({"w": np.ones(3)}, 1.0, "b", 0)

    with pytest.raises(ValueError, match="shape"):
        helper.add({"w": np.ones(2)}, 1.0, "a", 0)

    helper.add({"w": np.ones(2)}, 1.0, "d", 0)
    assert [one["contributor_name"] for one in helper.get_history()] == ["a", "c", "d"]


def test_two_results_of_one_site_are_both_added() -> None:
    helper = WeightedAggregationHelper()
    for site in ("b", "b", "?"):
        helper.add({"w": np.float32([1.0])}, 1.0, site, 0)

    assert helper.get_result()["w"] == [1.0]
    assert helper.get_len() == 0


def test_a_round_that_is_reset_keeps_nothing() -> None:
    helper = WeightedAggregationHelper()
    add(helper, "c")
    helper.reset_stats()
    add(helper, "b")

    assert helper.get_result()["w"] == [NUMBERS["b"]]


def average(values: list[Any], weights: list[Any], helper: Any) -> Any:
    for value, weight, site in zip(values, weights, SITES, strict=False):
        helper.add({"w": value}, weight, site, 0)
    return helper.get_result()["w"]


@pytest.mark.parametrize(
    "values",
    [
        [np.random.default_rng(n).standard_normal((3, 200_001)).astype(np.float32) for n in range(4)],
        [np.random.default_rng(n).standard_normal(1000) for n in range(4)],
        [np.random.default_rng(n).standard_normal(1000).astype(np.float16) for n in range(4)],
        [np.asfortranarray(np.random.default_rng(n).standard_normal((5, 7))) for n in range(4)],
        [np.arange(10) + n for n in range(4)],
        [np.float32([1.5]), np.float64([2.5]), np.float32([3.5]), np.int64([4])],
        [np.array(1.5), np.array(2.5)],
        [1.5, 2.5, 3],
    ],
    ids=["float32", "float64", "float16", "order of Fortran", "integers", "mixed", "no dimension", "numbers"],
)
@pytest.mark.parametrize("weights", [[3.7, 1e-3, 12, 0.1], [np.float64(3.7), 2, np.float32(5), 1]], ids=str)
def test_a_sum_in_place_has_the_bits_of_nvflares(values: list[Any], weights: list[Any]) -> None:
    expected: Any = None
    for value, weight in zip(values, weights, strict=False):
        expected = value * weight if expected is None else expected + value * weight
    expected = expected * (1.0 / sum(weights[1 : len(values)], start=weights[0]))
    before = [np.array(value) for value in values]

    result = average(values, weights, WeightedAggregationHelper())

    assert np.asarray(result).dtype == np.asarray(expected).dtype
    assert np.asarray(result).tobytes() == np.asarray(expected).tobytes()
    assert all(np.array_equal(one, other) for one, other in zip(before, values, strict=True))


def test_the_model_of_a_round_does_not_change_in_the_next_one() -> None:
    helper = WeightedAggregationHelper()
    first = average([np.full(10, 2.0), np.full(10, 4.0)], [1, 1], helper)
    average([np.full(10, 6.0), np.full(10, 8.0)], [1, 1], helper)

    assert (first == 3.0).all()


def test_a_sum_needs_no_memory_for_products() -> None:
    helper = WeightedAggregationHelper()
    values = [np.ones(4_000_000, np.float32) for _ in SITES]
    helper.add({"w": values[0]}, 2.0, SITES[0], 0)
    tracemalloc.start()
    for value, site in zip(values[1:], SITES[1:], strict=True):
        helper.add({"w": value}, 2.0, site, 0)
    result = helper.get_result()["w"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < values[0].nbytes / 4
    assert result[0] == 1.0


def test_all_waiting_results_but_one_are_kept_elsewhere(tmp_path: Path) -> None:
    kept: list[Any] = []

    def keep(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        kept.append(ResultsOnDisk(tmp_path).keep(parameters))
        return kept[-1]

    sum_in_order_of_sites(lambda: SITES, keep)
    results = {site: np.full(1_000_000, NUMBERS[site], np.float32) for site in SITES}
    helper = WeightedAggregationHelper()
    for site in ("d", "c", "b"):
        helper.add({"w": results[site], "small": np.float32([1.0])}, 1.0, site, 0)
    assert len(kept) == 2
    assert all(not isinstance(one["w"], np.ndarray) for one in kept)
    assert all(isinstance(one["small"], np.ndarray) for one in kept)

    helper.add({"w": results["a"], "small": np.float32([1.0])}, 1.0, "a", 0)

    expected = (results["a"] + results["b"] + results["c"] + results["d"]) * (1.0 / 4)
    assert np.array_equal(helper.get_result()["w"], expected)
    assert list(tmp_path.iterdir()) == []


def test_a_result_stays_in_memory_if_the_volume_is_full(tmp_path: Path) -> None:
    parameters = {"w": torch.ones(1_000_000)}

    assert ResultsOnDisk(tmp_path / "missing").keep(parameters) is parameters


def test_a_tensor_is_kept_bit_for_bit(tmp_path: Path) -> None:
    parameters = {"w": torch.linspace(0, 1, 1_000_000).bfloat16(), "v": torch.rand(600, 700)}

    kept = ResultsOnDisk(tmp_path).keep(parameters)

    for name in ("v", "w"):
        assert torch.equal(kept[name].materialize(), parameters[name])
