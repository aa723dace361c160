"""The guard judges what became of the results: NVFlare's own controllers run in one process."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nvflare.apis.filter import Filter
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator
from nvflare.app_common.np.np_model_persistor import NPModelPersistor
from nvflare.app_common.widgets.intime_model_selector import IntimeModelSelector
from nvflare.app_common.workflows.fedavg import FedAvg

from tests.unit.guard.in_process import Ended, Job, run
from tests.unit.guard.scripts import (
    ACCURACY,
    ROUNDS,
    TRAINS,
    Script,
    at_sites,
    only_metrics,
    returning,
    train,
)

SAME = returning(lambda value: value)
HALF = returning(lambda value: (value * 1000).astype(np.float16), steps=200_000)
WITH_LOSS = returning(train, {"loss": 1.0})


class Raises(ModelAggregator):
    """An aggregator that raises for one site."""

    def reset_stats(self) -> None:
        self.model = FLModel(params={})

    def accept_model(self, model: FLModel) -> None:
        if model.meta["client_name"] == "site-2":
            raise KeyError("no such thing")
        self.model = FLModel(params=model.params)

    def aggregate_model(self) -> FLModel:
        return self.model


class Averages(Raises):
    """An aggregator whose model is NaN."""

    def accept_model(self, model: FLModel) -> None:
        self.model = FLModel(params={name: value * np.nan for name, value in model.params.items()})


class RaisingFilter(Filter):
    """A filter that raises at one site."""

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        if fl_ctx.get_identity_name() == "site-2":
            raise ValueError("not for this site")
        return shareable


class Spoils(Filter):
    """A filter of the server, after which the numbers of a checked result are NaN."""

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        shareable["DXO"]["data"] = {name: value * np.nan for name, value in shareable["DXO"]["data"].items()}
        return shareable


class StoresNothing(NPModelPersistor):
    def save_model(self, model_learnable: Any, fl_ctx: FLContext) -> None:
        pass


class StoresAnother(NPModelPersistor):
    def save_model(self, model_learnable: Any, fl_ctx: FLContext) -> None:
        model_learnable["weights"] = {"numpy_key": np.zeros((2, 2), np.float32)}
        super().save_model(model_learnable, fl_ctx)


@dataclass(frozen=True)
class Bad:
    """A job that fails silently with NVFlare alone."""

    what: str
    reason: str = ""
    """Regular expression of the reason; empty if the job continues."""
    warning: str = ""
    site: Script = TRAINS
    both: bool = False
    """Whether both sites do it."""
    fedavg: dict[str, Any] = field(default_factory=dict)
    selector: dict[str, Any] | None = None
    filters: dict[str, list[Filter]] = field(default_factory=dict)
    """`server_filters` or `site_filters` of the job."""
    persistor: type[NPModelPersistor] = NPModelPersistor


STEPS = r"site-2, round 1, NUM_STEPS_CURRENT_ROUND: returned {} as its number of steps"

BAD_JOBS = [
    Bad("weights returned as received", r"nothing was learned", r"round 1: no site changed", SAME, both=True),
    Bad(
        "differences of zero",
        r"nothing was learned",
        r"round 1: no site changed",
        both=True,
        site=lambda model: FLModel(params={"numpy_key": np.zeros((2, 2))}, params_type="DIFF"),
    ),
    Bad(
        "fp16 that overflows",
        r"server, round 1, numpy_key: the new global model has 4 NaN or infinite numbers "
        r"\(float16\)",
        site=HALF,
        both=True,
    ),
    Bad(
        "weights times -1e60",
        warning=r"server, round 1: the parameters grew from 2.74 to",
        site=returning(lambda value: value.astype(float) * -1e60),
    ),
    Bad(
        "all sites only evaluate",
        r"site-1, site-2, round 1: returned no parameters",
        site=only_metrics,
        both=True,
    ),
    Bad(
        "no number of steps at one site",
        r"site-2, round 1, NUM_STEPS_CURRENT_ROUND: returned no number of steps",
        site=returning(train, steps=None),
    ),
    Bad(
        "no number of steps at all",
        warning=r"no site returns its number of steps",
        site=returning(train, steps=None),
        both=True,
    ),
    *(
        Bad(f"{steps!r} steps", STEPS.format(text), site=returning(train, steps=steps))
        for steps, text in ((0, "0"), (-3, "-3"), (float("nan"), "nan"), ("many", "'many'"), (True, "True"))
    ),
    Bad(
        "integers for fractions",
        r"site-2, round 1, numpy_key: returned integers",
        site=returning(lambda value: value.astype(np.int64)),
    ),
    Bad(
        "NaN as the key metric",
        warning=r"site-2, round 1, accuracy: returned nan as the metric",
        site=returning(train, {"accuracy": float("nan")}),
        selector=ACCURACY,
    ),
    Bad(
        "text as a metric",
        warning=r"site-2, round 1, accuracy: returned text as a metric",
        site=returning(train, {"accuracy": "0.93"}),
        selector=ACCURACY,
    ),
    Bad(
        "a key metric of one site alone",
        warning=r"site-2, round 1, key metric accuracy: was returned by other",
        site=returning(train, {"auc": 1.0}),
        selector=ACCURACY,
    ),
    Bad(
        "a key metric that nobody returns",
        r"site-1, site-2, key metric dice: is not among .*\(accuracy",
        selector={"key_metric": "dice"},
    ),
    Bad(
        "a loss that is maximised",
        warning=r"key metric loss: .*a larger value.*the worst model",
        site=WITH_LOSS,
        both=True,
        selector={"key_metric": "loss"},
    ),
    Bad(
        "an accuracy that is minimised",
        warning=r"key metric accuracy: .*a smaller value.*the worst model",
        selector={"key_metric": "accuracy", "negate_key_metric": True},
    ),
    Bad(
        "a metric of unknown direction",
        warning=r"key metric score: the job takes a larger value",
        site=returning(train, {"score": 1.0}),
        both=True,
        selector={"key_metric": "score"},
    ),
    Bad(
        "an accuracy that falls",
        warning=r"key metric accuracy: went from 0.8 to 0.6, and larger is better",
        site=lambda model: returning(train, {"accuracy": 0.8 - model.current_round / 10})(model),
        both=True,
        selector=ACCURACY,
    ),
    Bad(
        "a stop_cond on a metric that nobody returns",
        r"server, round 1, stop_cond auc: the sites do not all",
        fedavg={"stop_cond": "auc >= 0.9"},
    ),
    Bad(
        "a stop_cond on a metric that is always NaN",
        r"NPModelPersistor: no model was stored",
        r"stop_cond accuracy: the average of the metric is nan",
        site=returning(train, {"accuracy": float("nan")}),
        fedavg={"stop_cond": "accuracy >= 0.9"},
    ),
    Bad(
        "an aggregator that raises for one site",
        r"site-2, round 1: the result was not used: 'no such thing'",
        fedavg={"aggregator": Raises()},
    ),
    Bad(
        "an aggregator that returns NaN",
        r"server, round 1, numpy_key: the new global model has 4 NaN",
        fedavg={"aggregator": Averages()},
    ),
    Bad(
        "NaN at a site",
        r"site-2, round 1, numpy_key: returned 4 numbers that are NaN",
        site=returning(lambda value: value * np.nan),
    ),
    Bad(
        "NaN after a filter of the server",
        r"site-\d, round 1, numpy_key: returned 4 numbers that are NaN",
        filters={"server_filters": [Spoils()]},
    ),
    Bad(
        "a filter that raises at one site",
        r"site-2, round 1: the result was not used: a filter raised",
        filters={"site_filters": [RaisingFilter()]},
    ),
    Bad(
        "a persistor that stores nothing",
        r"the stored model server.npy cannot be read",
        persistor=StoresNothing,
    ),
    Bad(
        "a persistor that stores another model",
        r"the stored model .*is not the last one: numpy_key differs",
        persistor=StoresAnother,
    ),
]


def test_levels_of_the_job_count_and_an_unknown_one_ends_it(tmp_path: Path) -> None:
    job = Bad("", site=SAME, both=True)

    continued = run_bad(tmp_path / "1", job, meta={"custom_props": {"guard": {"untrained": "off"}}})
    ended = run_bad(tmp_path / "2", job, meta={"custom_props": {"guard": {"untraned": "off"}}})

    assert continued.reasons == []
    assert_matches(r"server, guard: the guard has no rule 'untraned'", ended.reasons)


def test_a_site_that_the_job_names_and_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    ended = run_bad(tmp_path, Bad(""), meta={"deploy_map": {"app": ["server", "site-1", "site-2", "site-3"]}})

    assert ended.reasons == []
    (line,) = ended.warnings
    assert line.startswith("site-3: the job was submitted for this site")


def run_bad(folder: Path, job: Bad, **settings: Any) -> Ended:
    """Run the job with `settings` of `Job`."""
    components: dict[str, Any] = {"persistor": job.persistor(model=[[1.0, 2.0], [3.0, 4.0]])}
    if job.selector:
        components["selector"] = IntimeModelSelector(**job.selector)
    controller = FedAvg(num_clients=2, num_rounds=ROUNDS, persistor_id="persistor", **job.fedavg)
    sites = {"site-1": job.site if job.both else TRAINS, "site-2": job.site}
    return run(Job([controller], at_sites(sites), components, **job.filters, **settings), folder)


@pytest.mark.parametrize("job", BAD_JOBS, ids=lambda job: job.what)
def test_a_silent_failure_ends_the_job_or_warns(tmp_path: Path, job: Bad) -> None:
    ended = run_bad(tmp_path, job)

    assert len(ended.reasons) == bool(job.reason), ended
    if job.reason:
        assert_matches(job.reason, ended.reasons)
    if job.warning:
        assert_matches(job.warning, ended.warnings)


def test_a_job_without_a_failure_has_no_finding(tmp_path: Path) -> None:
    ended = run_bad(tmp_path, Bad("nothing", selector=ACCURACY, fedavg={"stop_cond": "accuracy >= 0.9"}))

    assert (ended.panics, ended.warnings) == ([], [])
    (model,) = ended.folder.parent.rglob("server.npy")
    assert np.load(model).tolist() == [[4.0, 5.0], [6.0, 7.0]]


def test_a_warning_becomes_an_error_and_an_error_a_warning_by_the_levels(tmp_path: Path) -> None:
    job = Bad("", site=SAME, both=True)

    ended = run_bad(tmp_path / "1", job, levels={"unchanged_round": "error"})
    continued = run_bad(tmp_path / "2", job, levels={"unchanged_round": "off", "untrained": "warn"})

    assert_matches(r"round 1: no site changed", ended.reasons)
    assert continued.reasons == []
    assert_matches(r"nothing was learned", continued.warnings)
    assert len(continued.warnings) == 1


def assert_matches(expression: str, lines: list[str]) -> None:
    assert any(re.search(expression, line) for line in lines), lines
