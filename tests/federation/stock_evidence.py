"""What is wrong with the jobs that NVFlare alone calls completed or leaves as they are, as assertions: where
one fails, NVFlare has mended something."""

from __future__ import annotations

import json

import numpy as np

from deploy.session.session import COMPLETED
from tests.federation.guarded_table import Table


def untrained(table: Table) -> None:
    import torch

    file = table.file("stock-numpy-for-torch", "FL_global_model.pt")
    stored = torch.load(file, weights_only=True)
    assert not any(value.any() for value in stored["model"].values())


def nothing_tracked(table: Table) -> None:
    assert not list(table.results("stock-trackers").rglob("mlruns"))
    assert not list(table.results("stock-trackers").rglob("*.wandb"))
    said = table.file("stock-trackers", "error_log.txt").read_text()
    assert "MLflowReceiver" in said
    assert "WandBReceiver" in said


def waits_before_its_first_round(table: Table) -> None:
    assert "Round 0 started" not in table.ended["stock-mlflow-out-of-reach"].server_log


def no_event_file(table: Table) -> None:
    assert not list(table.results("stock-careless").rglob("*tfevents*"))
    assert list(table.results("good").rglob("*tfevents*"))


def no_best_model(table: Table) -> None:
    best = "new best validation metric"
    assert best not in table.ended["stock-nothing"].server_log
    assert best in table.ended["good"].server_log


def waits_for_a_site_that_is_not(table: Table) -> None:
    assert "needs 3 sites, and 2 are registered" in table.ended["stock-too-many-sites"].waits_for


def one_site_is_lost(table: Table) -> None:
    model = np.load(table.file("stock-another-shape", "server.npy"))
    alone = np.array([[3.0, 4.0], [5.0, 6.0]])  # what site-1 alone comes to
    assert model.shape != alone.shape or np.allclose(model, alone)


def model_of_another_shape(table: Table) -> None:
    """NVFlare's own array of 3 by 3, flattened by the sites."""
    assert np.load(table.file("stock-all-another-shape", "server.npy")).shape == (9,)


def empty_evaluation(table: Table) -> None:
    results = json.loads(table.file("stock-no-evaluation", "cross_val_results.json").read_text())
    assert not any(results.get("site-2", {}).values())


def names_no_number(table: Table) -> None:
    outcome = table.ended["stock-large-integer"]
    assert outcome.status != COMPLETED
    assert "tokens" not in outcome.server_log + "".join(outcome.said.values())


def sites_see_each_others_weights(table: Table) -> None:
    seen = table.seen("stock")
    assert len(seen) == 2
    for one in seen:
        weights = one["meta"]["metrics_aggregation_info"]["site_weights"]
        assert {weight["name"] for weight in weights} == {"site-1", "site-2"}


def model_of_nan(table: Table) -> None:
    assert np.isnan(np.load(table.file("stock-careless", "server.npy"))).all()


def one_site_alone(table: Table) -> None:
    model = np.load(table.file("stock-nothing", "server.npy"))
    assert np.allclose(model, [[3.0, 4.0], [5.0, 6.0]])


def model_of_more(table: Table) -> None:
    assert all("more" in one["parameters"] for one in table.seen("stock"))


def taken_in_without_a_word(table: Table) -> None:
    assert "ballast" not in table.ended["stock-careless"].server_log


def trains_for_ever(table: Table) -> None:
    assert "Round 0 started" in table.ended["stock-hanging"].server_log
