"""Small jobs of the kit and a custom job on one federation of three sites, each against its reference."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.new_job import write_job
from fl_app.jobs.hospital.job import HospitalParameters
from fl_app.jobs.numpy_fedavg.train import true_weights
from tests.federation.federation import Federation, running
from tests.unit.hospital.averaging import average

pytestmark = pytest.mark.federation

SITES = 3
BIG_SUM = 359579325206583560961765665172189099052367214309267232255589800
"""Sum of the first 300 Fibonacci numbers: 62 digits."""


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with running(tmp_path_factory.mktemp("jobs"), Federation, sites=SITES, name="kinds") as federation:
        yield federation


def run(federation: Federation, folder: Path, job: str, *settings: str) -> Path:
    """Submit a job, wait until it completes, and return its results."""
    options = [word for setting in settings for word in ("--set", setting)]
    done = federation.flarefleet("submit", job, *options, "--fetch", str(folder / "results"))
    assert done.returncode == 0, done.stderr
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


@pytest.mark.extended
def test_hospital_with_adagrad_on_digits_gives_the_reference_model(
    federation: Federation, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    parameters = HospitalParameters(rounds=3, dataset="digits", algorithm="fedadagrad", hidden=8)
    results = run(
        federation, tmp_path, "hospital", "rounds=3", "dataset=digits", "algorithm=fedadagrad", "hidden=8"
    )
    stored = torch.load(results / "model" / "FL_global_model.pt", weights_only=True)["model"]
    for name, value in average(parameters, hospitals=SITES).weights.items():
        torch.testing.assert_close(stored[name], value, rtol=0, atol=1e-4)


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
