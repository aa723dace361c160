"""Small jobs of the kit and a custom job on one federation of three sites, each against its reference."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.demo.measurements import logged_values
from deploy.new_job import write_job
from fl_app.jobs.hospital.job import HospitalParameters
from fl_app.jobs.numpy_fedavg.train import true_weights
from tests.federation.federation import Federation
from tests.federation.kinds.conftest import SITES
from tests.unit.hospital.averaging import average

pytestmark = pytest.mark.federation

BIG_SUM = 359579325206583560961765665172189099052367214309267232255589800
"""Sum of the first 300 Fibonacci numbers: 62 digits."""


def run(federation: Federation, folder: Path, job: str, *settings: str) -> Path:
    """Submit a job, wait until it completes, and return its results."""
    options = [word for setting in settings for word in ("--set", setting)]
    federation.run("submit", job, *options, "--fetch", str(folder / "results"))
    return folder / "results"


def test_fibonacci_returns_exact_sums_and_logs_its_pyramid(federation: Federation, tmp_path: Path) -> None:
    results = run(federation, tmp_path, "fibonacci", 'levels={"site-2": 300}')
    result = json.loads((results / "metrics" / "fibonacci.json").read_text())
    assert [entry["sums"] for entry in result["rounds"]] == [
        {"site-1": 88, "site-2": str(BIG_SUM), "site-3": 88}
    ] * 5
    assert result["best_site"] == "site-2"
    logs = federation.flarefleet("logs", "site-1").stdout
    assert re.search(r"^ +0 1 1$", logs, re.MULTILINE)
    assert "0 1 1 2 3 5 8 13 21 34\n" in logs


@pytest.mark.extended
def test_the_median_resists_a_broken_site_in_a_separate_process(
    federation: Federation, tmp_path: Path
) -> None:
    other = {"train_args": "--poison 100", "external_process": True, "transfer": "DIFF"}
    differences = {"transfer": "DIFF"}
    per_site = {"site-1": differences, "site-2": other, "site-3": differences}
    results = run(
        federation,
        tmp_path,
        "numpy-fedavg",
        "aggregator=median",
        f"per_site={json.dumps(per_site)}",
        f"command={sys.executable} -u",
    )
    found = np.load(results / "model" / "server.npy")
    assert np.abs(found - true_weights(5)).max() < 0.5


def run_hospital(
    federation: Federation, folder: Path, parameters: HospitalParameters, tolerance: float
) -> list[list[float]]:
    """Run `hospital`, compare its model with the reference, and return the accuracies of the reference."""
    torch.set_num_threads(1)
    settings = parameters.model_dump(exclude_none=True)
    results = run(federation, folder, "hospital", *(f"{name}={value}" for name, value in settings.items()))
    stored = torch.load(results / "model" / "FL_global_model.pt", weights_only=True)["model"]
    expected = average(parameters, hospitals=len(SITES))
    for name, value in expected.weights.items():
        torch.testing.assert_close(stored[name], value, rtol=0, atol=tolerance)
    return expected.own_accuracy


def test_hospital_gives_the_reference_model_and_logs_every_round(
    federation: Federation, tmp_path: Path
) -> None:
    parameters = HospitalParameters(rounds=3, local_epochs=1, hidden=7, seed=5)

    expected = run_hospital(federation, tmp_path, parameters, tolerance=1e-5)

    events = tmp_path / "results" / "tb_events"
    for site, accuracy in zip(SITES, expected, strict=True):
        assert list(logged_values(events, site, "accuracy_after_training", 3)) == pytest.approx(accuracy)
        for tag in ("accuracy", "loss", "own_accuracy", "train_loss"):
            assert len(logged_values(events, site, tag, 3)) == 3


@pytest.mark.extended
def test_hospital_with_adagrad_on_digits_gives_the_reference_model(
    federation: Federation, tmp_path: Path
) -> None:
    parameters = HospitalParameters(rounds=3, dataset="digits", algorithm="fedadagrad", hidden=8)
    run_hospital(federation, tmp_path, parameters, tolerance=1e-4)


def test_a_new_custom_job_runs_unchanged(federation: Federation, tmp_path: Path) -> None:
    folder = write_job("custom-job", "numpy", tmp_path)
    results = run(federation, tmp_path, str(folder), "rounds=3")
    assert np.abs(np.load(results / "model" / "server.npy") - [1, -2, 3]).max() < 0.1


@pytest.mark.extended
def test_a_flower_job_without_flower_fails_with_the_remedy(federation: Federation) -> None:
    done = federation.flarefleet("submit", "flower-digits")

    assert done.returncode == 1
    assert "Flower is not installed here" in done.stderr
    assert "extras: [flower]" in done.stderr
