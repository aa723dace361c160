"""The job `fedadagrad` in a federation: it equals its reference, and an invalid report ends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.fedadagrad.schedule import sample
from tests.event_files import read_run
from tests.federation.federation import Federation, set_options
from tests.federation.kinds.conftest import SITES
from tests.unit.fedadagrad.reference import Reference, run

pytestmark = [pytest.mark.federation, pytest.mark.extended]

PARAMETERS = DigitParameters(rounds=4, local_epochs=2, halve_every=2, evaluate_every=3, hidden=16, seed=5)
SAMPLED = [
    sample(SITES, PARAMETERS.fraction_train, PARAMETERS.seed, round) for round in range(PARAMETERS.rounds)
]
EVALUATED = [0, 3, 4]

BROKEN_SITE = """
from dataclasses import replace
from fl_app.jobs.fedadagrad.client import DigitSite


class BrokenSite(DigitSite):
    def begin(self, site):
        super().begin(site)
        self.site_name = site.name

    def train(self, weights, round):
        result = super().train(weights, round)
        report = {**result.meta["training_report"]}
        if self.site_name == "site-2":
            report["losses"] = [float("nan")]
        return replace(result, meta={"training_report": report})
"""


@pytest.fixture(scope="module")
def results(federation: Federation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one job."""
    folder = tmp_path_factory.mktemp("results") / "fetched"
    options = set_options(PARAMETERS.model_dump())
    federation.run("submit", "fedadagrad", "--fetch", str(folder), *options)
    return folder


@pytest.fixture(scope="module")
def expected() -> Reference:
    """The result of a loop without NVFlare."""
    return run(PARAMETERS, SITES, SAMPLED)


def test_the_final_model_equals_the_reference(results: Path, expected: Reference) -> None:
    stored = torch.load(results / "model" / "FL_global_model.pt", weights_only=True)["model"]
    for name, value in expected.weights[-1].items():
        torch.testing.assert_close(stored[name].double(), torch.tensor(value), rtol=0, atol=1e-4)


def test_the_server_evaluates_on_schedule_and_keeps_the_best_model(
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


def test_every_sampled_site_reports_its_losses(results: Path, expected: Reference) -> None:
    reports = _json(results, "training_history.json")
    assert {(report["round"], report["site"]) for report in reports} == {
        (round + 1, site) for round, chosen in enumerate(SAMPLED) for site in chosen
    }
    for report in reports:
        assert report["learning_rate"] == 0.01 / 2 ** ((report["round"] - 1) // PARAMETERS.halve_every)
        assert report["losses"] == pytest.approx(expected.losses[report["round"], report["site"]], abs=1e-3)


def test_the_metrics_of_server_and_sites_are_logged(results: Path) -> None:
    events = results / "tb_events"
    sampled = {site for chosen in SAMPLED for site in chosen}
    (server,) = {folder.name for folder in events.iterdir()} - sampled

    for tag in ("accuracy", "loss", "parameter_norm"):
        assert _steps(events / server, tag) == EVALUATED
    for site in sampled:
        rounds = [round for round, chosen in enumerate(SAMPLED, start=1) if site in chosen]
        for tag in ("train_loss", "train_seconds", "converged", "learning_rate", "own_accuracy"):
            assert _steps(events / site, tag) == rounds


def test_an_invalid_report_ends_the_job_and_names_the_field(federation: Federation, tmp_path: Path) -> None:
    federation.run("export", "fedadagrad", str(tmp_path), "--set", "fraction_train=1")
    app = tmp_path / "fedadagrad" / "app"
    config = app / "config" / "config_fed_client.json"
    config.write_text(
        config.read_text(encoding="utf-8").replace(
            "fl_app.jobs.fedadagrad.client.DigitSite", "broken.BrokenSite"
        ),
        encoding="utf-8",
    )
    (app / "custom").mkdir()
    (app / "custom" / "broken.py").write_text(BROKEN_SITE, encoding="utf-8")

    watched = federation.flarefleet("watch", federation.submit_folder(tmp_path / "fedadagrad"))

    assert watched.returncode == 1
    assert (
        "site-2, round 1: bad metadata: training_report.losses[0]: Input should be a finite number"
        in watched.stderr
    )


def _json(results: Path, name: str) -> Any:
    return json.loads((results / "metrics" / name).read_text(encoding="utf-8"))


def _steps(events: Path, tag: str) -> list[int]:
    return [point.step for point in read_run(events).Scalars(tag)]
