"""NVFlare adds up results in the order of the sites' names, whatever the order of their arrival."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper

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
