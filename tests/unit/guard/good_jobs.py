"""Jobs that are good although something about them is unusual: federated averaging in its variants.

Each function makes a new job. `good_models` has the jobs with unusual models, `good_workflows` those with
other controllers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from nvflare.apis.dxo import MetaKey
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.filters.exclude_vars import ExcludeVars
from nvflare.app_common.filters.percentile_privacy import PercentilePrivacy
from nvflare.app_common.filters.svt_privacy import SVTPrivacy
from nvflare.app_common.widgets.intime_model_selector import IntimeModelSelector
from nvflare.app_common.workflows.fedavg import FedAvg

from tests.unit.guard.good_components import Half, Median
from tests.unit.guard.in_process import Job, Memory, Train

MODEL = {"layer.weight": np.ones((2, 3)), "layer.bias": np.zeros(3)}
STEPS = MetaKey.NUM_STEPS_CURRENT_ROUND


def averaging(train: Train, model: Mapping[str, Any] | None = None, rounds: int = 3, **more: Any) -> Job:
    """Federated averaging with the default model selector of NVFlare's recipes.

    Args:
        train: what the sites do.
        model: initial parameters.
        rounds: number of rounds.
        more: arguments of `FedAvg`, or of `Job` if they start with `job_`.
    """
    job = {name.removeprefix("job_"): more.pop(name) for name in list(more) if name.startswith("job_")}
    metric = more.pop("key_metric", "accuracy")
    controller = more.pop("controller", FedAvg)(
        num_clients=2, num_rounds=rounds, persistor_id="persistor", **more
    )
    components = {
        "persistor": Memory(MODEL if model is None else model),
        "selector": IntimeModelSelector(key_metric=metric),
    }
    return Job([controller], train, components=components | job.pop("components", {}), **job)


def moved(received: FLModel, by: float = 0.1) -> dict[str, Any]:
    """Return the parameters after a step."""
    return {name: value + by for name, value in received.params.items()}


def answer(parameters: Any, **more: Any) -> FLModel:
    """Return a usual result."""
    return FLModel(params=parameters, **{"metrics": {"accuracy": 0.5}, "meta": {STEPS: 10}} | more)


def difference(parameters: Any, **more: Any) -> FLModel:
    return answer(parameters, params_type=ParamsType.DIFF, **more)


def usual(site: str, received: FLModel) -> FLModel:
    return answer(moved(received))


def by_round(*steps: float) -> Train:
    """Move every parameter by these steps, one a round."""
    return lambda site, received: answer(moved(received, steps[received.current_round]))


def returning(**more: Any) -> Train:
    """Return usual parameters with other metrics or meta."""
    return lambda site, received: answer(moved(received), **more)


def example_counts(first: Any, second: Any) -> Job:
    counts = {"site-1": first, "site-2": second}
    return averaging(lambda site, received: answer(moved(received), meta={STEPS: counts[site]}))


def one_site_is_idle() -> Job:
    """A site without new data returns what it received."""
    return averaging(
        lambda site, received: answer(moved(received) if site == "site-1" else dict(received.params))
    )


def changes_cancel() -> Job:
    """The sites move in opposite directions, so the average stays in one round."""

    def train(site: str, received: FLModel) -> FLModel:
        sign = -1 if site == "site-2" and received.current_round == 1 else 1
        return answer(moved(received, sign * 0.5))

    return averaging(train)


def gan() -> Job:
    """Two networks, losses that rise and fall, no accuracy."""

    def train(site: str, received: FLModel) -> FLModel:
        losses = {"generator_loss": 2.0 - received.current_round, "discriminator_loss": 0.7}
        return answer(moved(received, 0.3 * (-1) ** received.current_round), metrics=losses)

    return averaging(train, {"generator.weight": np.ones(4), "discriminator.weight": np.ones(4)})


def metric_is_sometimes_nan() -> Job:
    """A site without positive examples in one round cannot compute an AUC."""

    def train(site: str, received: FLModel) -> FLModel:
        missing = site == "site-2" and received.current_round == 1
        return answer(moved(received), metrics={"auc": float("nan") if missing else 0.8})

    return averaging(train, key_metric="auc")


def differences_through(*filters: Any) -> Job:
    """Differences that a privacy filter of NVFlare changes at the sites."""

    def train(site: str, received: FLModel) -> FLModel:
        random = np.random.default_rng(received.current_round)
        return difference({name: random.normal(size=value.shape) for name, value in received.params.items()})

    return averaging(train, job_site_filters=filters)


AVERAGING: dict[str, Callable[[], Job]] = {
    "usual": lambda: averaging(usual),
    "a metric that is not the key metric": lambda: averaging(returning(metrics={"weight_mean": 1.0})),
    "no metrics": lambda: averaging(returning(metrics=None)),
    "empty metrics": lambda: averaging(returning(metrics={})),
    "a metric that is sometimes NaN": metric_is_sometimes_nan,
    "a text beside the key metric": lambda: averaging(returning(metrics={"accuracy": 0.5, "state": "ok"})),
    "metrics of NumPy": lambda: averaging(returning(metrics={"accuracy": np.float32(0.5), "n": np.int64(3)})),
    "a key metric below zero": lambda: averaging(returning(metrics={"score": -3.5}), key_metric="score"),
    "differences": lambda: averaging(
        lambda site, received: difference({n: np.full_like(v, 0.1) for n, v in received.params.items()})
    ),
    "a site with a single example": lambda: example_counts(1, 1000),
    "200,000 examples": lambda: example_counts(200_000, 200_000),
    "numbers of examples that are fractions": lambda: example_counts(0.5, 12.25),
    "no number of examples": lambda: averaging(returning(meta={})),
    "a warm-up without a change in the first round": lambda: averaging(by_round(0.0, 0.1, 0.1)),
    "a last round without a change": lambda: averaging(by_round(0.5, 0.1, 0.0)),
    "one site without new data": one_site_is_idle,
    "changes that cancel": changes_cancel,
    "a GAN without a key metric": gan,
    "an early stop": lambda: averaging(usual, rounds=5, stop_cond="accuracy >= 0.4"),
    "an aggregator of the user's own": lambda: averaging(usual, aggregator=Median()),
    "quantized results": lambda: averaging(
        usual, job_site_filters=[Half()], job_server_filters=[Half(back=True)]
    ),
    "PercentilePrivacy": lambda: differences_through(PercentilePrivacy(percentile=50, gamma=1.0)),
    "SVTPrivacy": lambda: differences_through(SVTPrivacy(fraction=0.5, epsilon=10.0, noise_var=0.1)),
    "ExcludeVars on differences": lambda: differences_through(ExcludeVars(exclude_vars=["layer.bias"])),
}
"""Good jobs of federated averaging, by what is unusual about them."""
