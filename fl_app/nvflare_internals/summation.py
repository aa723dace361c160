"""The order in which NVFlare adds up the results of a round."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

USES = {
    "nvflare.app_common.aggregators.weighted_aggregation_helper:WeightedAggregationHelper.add": (
        "add up in a fixed order"
    ),
    "nvflare.app_common.aggregators.weighted_aggregation_helper:WeightedAggregationHelper.get_result": (
        "add up in a fixed order"
    ),
    "nvflare.app_common.aggregators.weighted_aggregation_helper:"
    "WeightedAggregationHelper.get_aggregation_stats": "add up in a fixed order",
    "nvflare.app_common.aggregators.weighted_aggregation_helper:WeightedAggregationHelper.total": (
        "add up arrays of NumPy in place"
    ),
    "nvflare.app_common.aggregators.weighted_aggregation_helper:"
    "WeightedAggregationHelper.weigh_by_local_iter": "add up arrays of NumPy in place",
    "nvflare.app_common.aggregators.weighted_aggregation_helper:WeightedAggregationHelper.get_history": (
        "add up in a fixed order"
    ),
    "nvflare.app_common.aggregators.weighted_aggregation_helper:WeightedAggregationHelper.reset_stats": (
        "add up in a fixed order"
    ),
}


Parameters = Mapping[str, Any]


def sum_in_order_of_sites(
    sites: Callable[[], Collection[str]], keep: Callable[[Parameters], Parameters] = dict
) -> None:
    """Let NVFlare add up the results of a round in the order of the sites' names, in this process.

    NVFlare adds each result when it arrives, and a sum of floating-point numbers depends on the order: two
    runs of a job differ in their last bits. From now on a result waits until those of all sites before it in
    the alphabet have been added, or until the round is over. Arrays of NumPy are added in place, as NVFlare
    adds tensors of PyTorch, with the same numbers.

    All of NVFlare's averaging uses WeightedAggregationHelper (FedAvg, SCAFFOLD, ScatterAndGather with
    FedOpt...). Its workflows create the instances, so a subclass cannot take its place.

    Args:
        sites: returns the names of the sites that take part.
        keep: returns parameters that wait in less memory; of all waiting results but one.
    """
    from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper as Helper

    is_installed = hasattr(Helper, "sites_in_order")
    Helper.sites_in_order, Helper.keep_waiting = staticmethod(sites), staticmethod(keep)
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
            while (arguments := queue.take()) is not None:
                add_in_place(helper, *arguments)
            queue.keep(Helper.keep_waiting)

    def add_rest(helper: Any) -> None:
        queue = queue_of(helper)
        queue.await_none()
        while (arguments := queue.take()) is not None:
            add_in_place(helper, *arguments)

    def add_in_place(helper: Any, data: Any, weight: Any, *further: Any) -> None:
        add(helper, _addends(helper, data, weight), weight, *further)

    def result_in_order(helper: Any) -> Any:
        with lock:
            add_rest(helper)
            helper.total = {name: _quotient(total) for name, total in helper.total.items()}
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


_BLOCK = 1 << 18
"""Numbers that are multiplied at a time, so that the products stay in the processor's cache."""


def _addends(helper: Any, data: Mapping[str, Any], weight: Any) -> dict[str, Any]:
    """Return data to be added, in which arrays add themselves to their sum in place if that is the same."""
    if not helper.weigh_by_local_iter:
        return dict(data)
    return {name: _addend(helper.total.get(name), value, weight) for name, value in data.items()}


def _addend(total: Any, value: Any, weight: Any) -> Any:
    if callable(getattr(value, "materialize", None)):
        return _Later(total, value, weight)
    return _Addend(value) if _fits(total, value, weight) else value


@dataclass(frozen=True)
class _Later:
    """An array that NVFlare loads when it adds it."""

    total: Any
    value: Any
    weight: Any

    def materialize(self) -> Any:
        return _addend(self.total, self.value.materialize(), self.weight)


def _fits(total: Any, value: Any, weight: Any) -> bool:
    """Return whether `total + value * weight` is an array of the same type and shape as `total`."""
    return (
        type(total) is type(value) is np.ndarray
        and total.dtype.kind == "f"
        and total.dtype == value.dtype
        and total.shape == value.shape
        and total.flags.c_contiguous
        and value.flags.c_contiguous
        and isinstance(weight, int | float)
        and np.result_type(value, weight) == total.dtype
    )


class _Addend:
    """An array whose product with a number is added to a sum in place."""

    __array_ufunc__ = None  # NumPy leaves the addition to __radd__

    def __init__(self, value: Any) -> None:
        self._value = value.reshape(-1)
        self._weight: Any = 1

    def __mul__(self, weight: Any) -> _Addend:
        self._weight = weight
        return self

    def __radd__(self, total: Any) -> Any:
        flat = total.reshape(-1)
        products = np.empty(min(_BLOCK, flat.size), flat.dtype)
        for start in range(0, flat.size, _BLOCK):
            block = flat[start : start + _BLOCK]
            product = products[: block.size]
            np.multiply(self._value[start : start + _BLOCK], self._weight, out=product)
            np.add(block, product, out=block)
        return total


def _quotient(total: Any) -> Any:
    """Return a sum that NVFlare's division changes in place, if it is an array of floating-point numbers."""
    is_array = type(total) is np.ndarray and total.dtype.kind == "f"
    return _Quotient(total) if is_array else total


class _Quotient:
    """A sum that is multiplied in place."""

    def __init__(self, total: Any) -> None:
        self._total = total

    def __mul__(self, factor: float) -> Any:
        if np.result_type(self._total, factor) != self._total.dtype:
            return self._total * factor
        return np.multiply(self._total, factor, out=self._total)


@dataclass
class _Waiting:
    """A result that waits: the arguments of NVFlare's `add`."""

    site: str
    arguments: tuple[Any, ...]
    is_kept: bool = False
    """Whether it needs less memory than when it arrived."""


class _Queue:
    """Results that wait for those of earlier sites.

    Args:
        expected: names of the sites whose results are missing.
    """

    def __init__(self, expected: set[str]) -> None:
        self._expected = expected
        self._waiting: list[_Waiting] = []

    @property
    def arguments(self) -> list[tuple[Any, ...]]:
        """What waits."""
        return [one.arguments for one in self._waiting]

    def put(self, site: str, arguments: tuple[Any, ...]) -> None:
        """Add the result of a site."""
        self._expected.discard(site)
        self._waiting.append(_Waiting(site, arguments))
        self._waiting.sort(key=lambda one: one.site)

    def keep(self, keep: Callable[[Parameters], Parameters]) -> None:
        """Let all waiting results but one need less memory."""
        for one in [one for one in self._waiting if not one.is_kept][1:]:
            data, *further = one.arguments
            one.arguments, one.is_kept = (keep(data), *further), True

    def take(self) -> tuple[Any, ...] | None:
        """Remove and return the first result, if it is before all sites whose results are missing.

        One by one: if a result cannot be added, those after it are not lost.
        """
        missing = min(self._expected, default=None)
        if not self._waiting or (missing is not None and self._waiting[0].site >= missing):
            return None
        return self._waiting.pop(0).arguments

    def await_none(self) -> None:
        """Let `take` return everything."""
        self._expected.clear()
