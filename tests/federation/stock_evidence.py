"""Assertions about jobs that NVFlare alone completes or leaves running; they fail if NVFlare fixed it."""

from __future__ import annotations

import json
import re

import numpy as np

from deploy.session.session import COMPLETED
from tests.federation.guarded_jobs import MODEL
from tests.federation.guarded_table import Table

SITE_1_ALONE = np.array([[3.0, 4.0], [5.0, 6.0]])
"""The model after two rounds of site-1."""


def model_is_untrained(table: Table) -> None:
    import torch

    file = table.file("stock-numpy-for-torch", "FL_global_model.pt")
    stored = torch.load(file, weights_only=True)
    assert not any(value.any() for value in stored["model"].values())


def nothing_is_tracked(table: Table) -> None:
    assert not list(table.results("stock-trackers").rglob("mlruns"))
    assert not list(table.results("stock-trackers").rglob("*.wandb"))
    log = table.file("stock-trackers", "error_log.txt").read_text()
    assert "MLflowReceiver" in log
    assert "WandBReceiver" in log


def first_round_does_not_start(table: Table) -> None:
    assert "Round 0 started" not in table.ended["stock-mlflow-unreachable"].server_log


def no_event_file_is_written(table: Table) -> None:
    assert not list(table.results("stock-careless").rglob("*tfevents*"))
    assert list(table.results("good").rglob("*tfevents*"))


def no_best_model_is_kept(table: Table) -> None:
    best = "new best validation metric"
    assert best not in table.ended["stock-nothing"].server_log
    assert best in table.ended["good"].server_log


def job_waits_for_a_missing_site(table: Table) -> None:
    assert "needs 3 sites, and 2 are registered" in table.ended["stock-too-many-sites"].waits_for


def one_site_is_ignored(table: Table) -> None:
    model = np.load(table.file("stock-another-shape", "server.npy"))
    assert model.shape != SITE_1_ALONE.shape or np.allclose(model, SITE_1_ALONE)


def model_has_another_shape(table: Table) -> None:
    """NVFlare's own array of 3 by 3, flattened by the sites."""
    assert np.load(table.file("stock-all-another-shape", "server.npy")).shape == (9,)


def evaluation_is_empty(table: Table) -> None:
    results = json.loads(table.file("stock-no-evaluation", "cross_val_results.json").read_text())
    assert not any(results.get("site-2", {}).values())


def integer_is_not_named(table: Table) -> None:
    outcome = table.ended["stock-large-integer"]
    assert outcome.status != COMPLETED
    assert "tokens" not in outcome.server_log + "".join(outcome.reasons.values())


def sites_see_the_weights_of_others(table: Table) -> None:
    seen = table.seen("stock-careless")
    assert len(seen) == 2
    for message in seen:
        weights = message["meta"]["metrics_aggregation_info"]["site_weights"]
        assert {weight["name"] for weight in weights} == {"site-1", "site-2"}


def model_is_nan(table: Table) -> None:
    assert np.isnan(np.load(table.file("stock-careless", "server.npy"))).all()


def model_is_that_of_one_site(table: Table) -> None:
    assert np.allclose(np.load(table.file("stock-nothing", "server.npy")), SITE_1_ALONE)


def model_has_an_unknown_parameter(table: Table) -> None:
    assert all("more" in message["parameters"] for message in table.seen("stock-careless"))


def ballast_is_accepted(table: Table) -> None:
    assert "ballast" not in table.ended["stock-careless"].server_log


def training_continues(table: Table) -> None:
    assert "Round 0 started" in table.ended["stock-hanging"].server_log


def _model(table: Table, job: str) -> np.ndarray:
    return np.load(table.file(job, "server.npy"))


def _weights(table: Table, job: str) -> dict[str, float]:
    """Return the weight of each site in the first round."""
    info = table.seen(job)[0]["meta"]["metrics_aggregation_info"]
    return {weight["name"]: weight["weight"] for weight in info["site_weights"]}


def _best_rounds(table: Table, job: str) -> list[int]:
    """Return the rounds, from 0, after which NVFlare had a new best model."""
    log = table.ended[job].server_log
    return [int(number) for number in re.findall(r"new best validation metric at round (\d+)", log)]


def model_is_the_first_one(table: Table) -> None:
    assert np.allclose(_model(table, "stock-untrained"), MODEL)


def model_is_infinite(table: Table) -> None:
    assert not np.isfinite(_model(table, "stock-overflow")).any()


def model_has_exploded(table: Table) -> None:
    assert np.abs(_model(table, "stock-exploding")).min() > 1e50


def fractions_are_lost(table: Table) -> None:
    """Each site trains by 0.5 a round, and nothing arrives."""
    assert np.allclose(_model(table, "stock-truncated"), MODEL)


def site_without_steps_weighs_1(table: Table) -> None:
    assert _weights(table, "stock-exploding") == {"site-1": 10, "site-2": 1}


def all_sites_weigh_1(table: Table) -> None:
    assert _weights(table, "stock-untrained") == {"site-1": 1, "site-2": 1}


def zero_steps_weigh_1(table: Table) -> None:
    assert _weights(table, "stock-truncated") == {"site-1": 1, "site-2": 1}


def negative_steps_weigh_1(table: Table) -> None:
    assert _weights(table, "stock-careless") == {"site-1": 10, "site-2": 1}


def site_with_nan_is_left_out(table: Table) -> None:
    assert _best_rounds(table, "stock-overflow") == [1]
    assert (
        "validation metric nan from site-2 is not finite; skipping"
        in table.ended["stock-overflow"].server_log
    )


def text_is_left_out(table: Table) -> None:
    assert "Metric 'note' (str) skipped for aggregation" in table.ended["stock-truncated"].server_log


def best_model_is_chosen_by_one_site(table: Table) -> None:
    assert _best_rounds(table, "stock-careless") == [1]


def fall_is_not_reported(table: Table) -> None:
    """The last model is stored, and the best one is the first that NVFlare compares."""
    assert _best_rounds(table, "stock-untrained") == [1]
    assert "ERROR" not in table.ended["stock-untrained"].server_log


def worst_model_is_the_best(table: Table) -> None:
    """The accuracy rises in each of three rounds."""
    assert _best_rounds(table, "stock-exploding") == [1]


def no_model_is_stored(table: Table) -> None:
    assert not list(table.results("stock-unmet-condition").rglob("server.npy"))


def model_of_the_first_round_is_stored(table: Table) -> None:
    assert np.allclose(_model(table, "stock-equals"), np.add(MODEL, 1))


def exception_of_the_aggregator_is_only_logged(table: Table) -> None:
    assert "no such vocabulary" in table.ended["stock-aggregator"].server_log


def aggregate_is_nan(table: Table) -> None:
    assert np.isnan(_model(table, "stock-aggregator")).all()
