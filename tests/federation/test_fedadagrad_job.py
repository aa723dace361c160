"""The job `fedadagrad` in a federation comes to what a plain loop comes to; a site that breaks its word
ends it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deploy.session import AdminKit, open_session
from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.fedadagrad.schedule import sample
from tests.federation.federation import ADMIN, Federation, write_project
from tests.unit.fedadagrad.reference import Reference, run

pytestmark = pytest.mark.federation

PARAMETERS = DigitParameters(rounds=4, local_epochs=2, halve_every=2, evaluate_every=3, hidden=16, seed=5)
SITES = [f"site-{number}" for number in (1, 2, 3)]
SAMPLED = [
    sample(SITES, PARAMETERS.fraction_train, PARAMETERS.seed, round) for round in range(PARAMETERS.rounds)
]
EVALUATED = [0, 3, 4]

CARELESS_SITE = """
from dataclasses import replace
from fl_app.jobs.fedadagrad.client import DigitSite


class CarelessSite(DigitSite):
    def begin(self, site):
        super().begin(site)
        self.here = site.name

    def train(self, weights, round):
        result = super().train(weights, round)
        report = {**result.meta["training_report"]}
        if self.here == "site-2":
            report["losses"] = [float("nan")]
        return replace(result, meta={"training_report": report})
"""


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A server and three sites."""
    federation = Federation(
        write_project(tmp_path_factory.mktemp("fedadagrad"), name="digits", sites=len(SITES)).parent
    )
    try:
        federation.up()
        yield federation
    finally:
        federation.remove()


@pytest.fixture(scope="module")
def results(federation: Federation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one job left."""
    folder = tmp_path_factory.mktemp("results") / "fetched"
    settings = [f"{name}={value}" for name, value in PARAMETERS.model_dump().items()]
    submitted = federation.flarefleet(
        *("submit", "fedadagrad", "--fetch", str(folder)),
        *(word for setting in settings for word in ("--set", setting)),
    )
    assert submitted.returncode == 0, submitted.stderr
    return folder


@pytest.fixture(scope="module")
def expected() -> Reference:
    """What a plain loop without NVFlare comes to."""
    return run(PARAMETERS, SITES, SAMPLED)


def test_the_model_after_the_last_round_is_the_references(results: Path, expected: Reference) -> None:
    stored = torch.load(results / "model" / "FL_global_model.pt", weights_only=True)["model"]
    for name, value in expected.weights[-1].items():
        torch.testing.assert_close(stored[name].double(), torch.tensor(value), rtol=0, atol=1e-4)


def test_the_server_evaluates_when_it_should_and_keeps_the_best_model(
    results: Path, expected: Reference
) -> None:
    history = _json(results, "evaluation_history.json")
    assert [evaluation["round"] for evaluation in history] == EVALUATED
    assert [evaluation["accuracy"] for evaluation in history] == pytest.approx(
        [expected.accuracy[rounds] for rounds in EVALUATED], abs=0.01
    )
    for evaluation in history:
        assert _json(results, f"round_{evaluation['round']}_server_eval.json") == evaluation

    best = [evaluation["round"] for evaluation in history if evaluation["is_best"]][-1]
    stored = load_file(results / "model" / "best_model.safetensors")
    for name, value in expected.weights[best].items():
        torch.testing.assert_close(stored[name].double(), torch.tensor(value), rtol=0, atol=1e-4)


def test_every_sampled_site_reports_with_the_learning_rate_of_the_round(
    results: Path, expected: Reference
) -> None:
    reports = _json(results, "training_history.json")
    assert {(report["round"], report["site"]) for report in reports} == {
        (round + 1, site) for round, chosen in enumerate(SAMPLED) for site in chosen
    }
    for report in reports:
        assert report["learning_rate"] == 0.01 / 2 ** ((report["round"] - 1) // PARAMETERS.halve_every)
        assert report["losses"] == pytest.approx(expected.losses[report["round"], report["site"]], abs=1e-3)


def test_one_run_holds_the_metrics_of_the_server_and_of_each_site(results: Path) -> None:
    events = results / "tb_events"
    took_part = {site for chosen in SAMPLED for site in chosen}
    (server,) = {folder.name for folder in events.iterdir()} - took_part

    for tag in ("accuracy", "loss", "parameter_norm"):
        assert _steps(events / server, tag) == EVALUATED
    for site in took_part:
        rounds = [round for round, chosen in enumerate(SAMPLED) if site in chosen]
        for tag in ("train_loss", "train_seconds", "converged", "learning_rate", "own_accuracy"):
            assert _steps(events / site, tag) == rounds


def test_bad_metadata_ends_the_job_with_site_and_field(federation: Federation, tmp_path: Path) -> None:
    exported = federation.flarefleet("export", "fedadagrad", str(tmp_path), "--set", "fraction_train=1")
    assert exported.returncode == 0, exported.stderr
    app = tmp_path / "fedadagrad" / "app"
    config = app / "config" / "config_fed_client.json"
    config.write_text(
        config.read_text(encoding="utf-8").replace(
            "fl_app.jobs.fedadagrad.client.DigitSite", "careless.CarelessSite"
        ),
        encoding="utf-8",
    )
    (app / "custom").mkdir()
    (app / "custom" / "careless.py").write_text(CARELESS_SITE, encoding="utf-8")

    with open_session(AdminKit.read(federation.kit(ADMIN))) as session:
        job_id = session.submit(tmp_path / "fedadagrad", token=uuid.uuid4().hex)
    watched = federation.flarefleet("watch", job_id)

    assert watched.returncode == 1
    assert (
        "site-2, round 1: bad metadata: training_report.losses[0]: Input should be a finite number"
        in watched.stderr
    )


def test_a_federation_without_flower_says_so_at_once_when_it_is_given_a_flower_job(
    federation: Federation,
) -> None:
    submitted = federation.flarefleet("submit", "flower-digits")

    assert submitted.returncode == 1
    assert "Flower is not installed here; flwr" in submitted.stderr


def _json(results: Path, name: str) -> Any:
    return json.loads((results / "metrics" / name).read_text(encoding="utf-8"))


def _steps(events: Path, tag: str) -> list[int]:
    accumulator = EventAccumulator(str(events))
    accumulator.Reload()
    return [point.step for point in accumulator.Scalars(tag)]
