"""The order in which NVFlare adds up the results of a round."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any

USES = {
    "nvflare.app_common.aggregators.weighted_aggregation_helper:WeightedAggregationHelper.add": (
        "add up in a fixed order"
    ),
    "nvflare.app_common.aggregators.weighted_aggregation_helper:WeightedAggregationHelper.get_result": (
        "add up in a fixed order"
    ),
    "nvflare.app_common.aggregators.weighted_aggregation_helper:"
    "WeightedAggregationHelper.get_aggregation_stats": "add up in a fixed order",
    "nvflare.app_common.aggregators.weighted_aggregation_helper:WeightedAggregationHelper.get_history": (
        "add up in a fixed order"
    ),
    "nvflare.app_common.aggregators.weighted_aggregation_helper:WeightedAggregationHelper.reset_stats": (
        "add up in a fixed order"
    ),
}


def sum_in_order_of_sites(sites: Callable[[], Collection[str]]) -> None:
    """Let NVFlare add up the results of a round in the order of the sites' names, in this process.

    NVFlare adds each result when it arrives, and a sum of floating-point numbers depends on the order: two
    runs of a job differ in their last bits. From now on a result waits, in memory, until those of all sites
    before it in the alphabet have been added, or until the round is over.

    All of NVFlare's averaging uses WeightedAggregationHelper (FedAvg, SCAFFOLD, ScatterAndGather with
    FedOpt...). Its workflows create the instances, so a subclass cannot take its place.

    Args:
        sites: returns the names of the sites that take part.
    """
    from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper as Helper

    is_installed = hasattr(Helper, "sites_in_order")
    Helper.sites_in_order = staticmethod(sites)
    if is_installed:
        return
    add, get_result, get_stats = Helper.add, Helper.get_result, Helper.get_aggregation_stats
    get_history, reset = Helper.get_history, Helper.reset_stats
    lock = threading.RLock()

    def queue_of(helper: Any) -> _Queue:
        if not isinstance(queue := getattr(helper, "queue", None), _Queue):
            queue = helper.queue = _Queue(set(map(str, Helper.sites_in_order())))
        return queue

    def add_in_order(
        helper: Any, data: Any, weight: Any, contributor_name: Any, contribution_round: Any
    ) -> None:
        with lock:
            queue = queue_of(helper)
            queue.put(str(contributor_name), (data, weight, contributor_name, contribution_round))
            for arguments in queue.take():
                add(helper, *arguments)

    def add_rest(helper: Any) -> None:
        for arguments in queue_of(helper).take_all():
            add(helper, *arguments)

    def result_in_order(helper: Any) -> Any:
        with lock:
            add_rest(helper)
            return get_result(helper)

    def stats_in_order(helper: Any) -> Any:
        with lock:
            add_rest(helper)
            return get_stats(helper)

    def history_in_order(helper: Any) -> Any:
        waiting = queue_of(helper).arguments
        return get_history(helper) + [
            {"contributor_name": name, "round": number, "weight": weight}
            for _, weight, name, number in waiting
        ]

    def reset_in_order(helper: Any) -> None:
        helper.queue = None
        reset(helper)

    Helper.add, Helper.get_result, Helper.get_aggregation_stats = (
        add_in_order,
        result_in_order,
        stats_in_order,
    )
    Helper.get_history, Helper.reset_stats = history_in_order, reset_in_order


class _Queue:
    """Results that wait for those of earlier sites.

    Args:
        expected: names of the sites whose results are missing.
    """

    def __init__(self, expected: set[str]) -> None:
        self._expected = expected
        self._waiting: list[tuple[str, tuple[Any, ...]]] = []

    @property
    def arguments(self) -> list[tuple[Any, ...]]:
        """What waits."""
        return [arguments for _, arguments in self._waiting]

    def put(self, site: str, arguments: tuple[Any, ...]) -> None:
        """Add the result of a site."""
        self._expected.discard(site)
        self._waiting.append((site, arguments))
        self._waiting.sort(key=lambda one: one[0])

    def take(self) -> list[tuple[Any, ...]]:
        """Remove and return what is before all sites whose results are missing."""
        first = min(self._expected, default=None)
        ready = [one for one in self._waiting if first is None or one[0] < first]
        self._waiting = self._waiting[len(ready) :]
        return [arguments for _, arguments in ready]

    def take_all(self) -> list[tuple[Any, ...]]:
        """Remove and return everything."""
        self._expected.clear()
        return self.take()
