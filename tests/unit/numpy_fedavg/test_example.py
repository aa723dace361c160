"""The example script and the median aggregator, in one process."""

from __future__ import annotations

from argparse import Namespace

import numpy as np
import pytest
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType

from fl_app.jobs.numpy_fedavg.median import MedianAggregator
from fl_app.jobs.numpy_fedavg.train import KEY, arguments, fit, loss_of, measurements, true_weights

SITES = ["site-1", "site-2", "site-3"]


def federated(given: dict[str, Namespace], rounds: int = 5, combine=np.mean) -> np.ndarray:
    weights = np.zeros(5)
    for _ in range(rounds):
        fitted = [fit(weights, *measurements(site, 5, own), own) for site, own in given.items()]
        weights = combine(fitted, axis=0)
    return weights


def result(site: str, params: dict, kind: ParamsType = ParamsType.FULL, **metrics: float) -> FLModel:
    return FLModel(params=params, params_type=kind, metrics=metrics or None, meta={"client_name": site})


def aggregate(*results: FLModel) -> FLModel:
    aggregator = MedianAggregator()
    for one in results:
        aggregator.accept_model(one)
    return aggregator.aggregate_model()


def test_measurements_are_reproducible_and_differ_by_site() -> None:
    given = arguments([])
    first, again = (measurements("site-1", 5, given) for _ in range(2))
    other = measurements("site-2", 5, given)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_the_average_is_as_accurate_as_least_squares_on_pooled_data() -> None:
    given = arguments([])
    pooled = [measurements(site, 5, given) for site in SITES]
    features, targets = np.concatenate([x for x, _ in pooled]), np.concatenate([y for _, y in pooled])
    central = np.linalg.lstsq(features, targets, rcond=None)[0]
    found = federated(dict.fromkeys(SITES, given))
    assert np.abs(central - true_weights(5)).max() < 0.01
    assert np.abs(found - central).max() < 0.01
    assert loss_of(found, features, targets) < 1.01 * loss_of(central, features, targets)


def test_one_broken_site_spoils_the_mean_but_not_the_median() -> None:
    given = {site: arguments(["--poison", "100"] if site == "site-2" else []) for site in SITES}
    assert np.abs(federated(given) - true_weights(5)).max() > 10
    assert np.abs(federated(given, combine=np.median) - true_weights(5)).max() < 0.5


def test_the_median_covers_each_number_and_the_common_metrics() -> None:
    values = np.array([[1, 50, -3], [2, 10, 9e9], [100, 20, 0]], dtype=np.float32)
    median = aggregate(
        *(
            result(site, {KEY: row}, loss=float(row[0]), extra=1.0)
            for site, row in zip(SITES, values, strict=True)
        )
    )
    assert median.params[KEY].tolist() == [2, 20, 0]
    assert median.params[KEY].dtype == np.float32
    assert median.metrics == {"extra": 1.0, "loss": 2.0}
    assert median.params_type == ParamsType.FULL


def test_the_median_of_differences_is_a_difference() -> None:
    one = np.ones(2)
    assert aggregate(result("a", {KEY: one}, ParamsType.DIFF)).params_type == ParamsType.DIFF


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (result("site-2", {KEY: np.ones(3)}), r"site-2 returned parameters of shapes .*\(3,\).*site-1"),
        (result("site-2", {"other": np.ones(2)}), "site-2 returned parameters of shapes .*other"),
        (result("site-2", {KEY: np.ones(2)}, ParamsType.DIFF), "site-2 returned .*DIFF.* site-1 .*FULL"),
    ],
)
def test_incompatible_results_raise_an_error_that_names_the_site(other: FLModel, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aggregate(result("site-1", {KEY: np.ones(2)}), other)


def test_reset_forgets_results_and_no_result_raises_an_error() -> None:
    aggregator = MedianAggregator()
    aggregator.accept_model(result("site-1", {KEY: np.ones(2)}))
    aggregator.reset_stats()
    with pytest.raises(ValueError, match="no site returned a result"):
        aggregator.aggregate_model()
