"""The small jobs of the kit and a job of one's own, on one federation of three sites, each held against what
it must come to."""

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
from tests.federation.federation import Federation, write_project
from tests.unit.hospital.averaging import average

pytestmark = pytest.mark.federation

SITES = 3
BIG_SUM = 359579325206583560961765665172189099052367214309267232255589800
"""Of the first 300 Fibonacci numbers: 62 digits."""


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("jobs-of-every-kind")
    made = Federation(write_project(folder, sites=SITES, name="kinds").parent)
    try:
        made.up()
        yield made
    finally:
        made.down()


def run(federation: Federation, folder: Path, job: str, *settings: str) -> Path:
    """Submit a job, see it complete, and return its results."""
    words = [word for setting in settings for word in ("--set", setting)]
    done = federation.flarefleet("submit", job, *words, "--fetch", str(folder / "results"))
    assert done.returncode == 0, done.stderr
    return folder / "results"


def test_fibonacci_brings_exact_sums_of_any_size_and_draws_its_pyramid_at_the_site(
    federation: Federation, tmp_path: Path
) -> None:
    results = run(federation, tmp_path, "fibonacci", 'levels={"site-2": 300}')
    result = json.loads((results / "metrics" / "fibonacci.json").read_text())
    assert [entry["sums"] for entry in result["rounds"]] == [
        {"site-1": 88, "site-2": str(BIG_SUM), "site-3": 88}
    ] * 5
    assert result["best_site"] == "site-2"
    logs = federation.flarefleet("logs", "site-1").stdout
    assert re.search(r"^ +0 1 1$", logs, re.MULTILINE)
    assert "0 1 1 2 3 5 8 13 21 34\n" in logs


def test_the_median_holds_against_a_broken_site_that_is_a_process_of_its_own_and_sends_differences(
    federation: Federation, tmp_path: Path
) -> None:
    other = {"train_args": "--poison 100", "external_process": True, "transfer": "DIFF"}
    everyone = {"transfer": "DIFF"}
    per_site = {"site-1": everyone, "site-2": other, "site-3": everyone}
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


def test_hospital_with_adagrad_on_digits_comes_to_the_model_of_its_reference(
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


def test_a_job_of_ones_own_runs_as_it_was_written(federation: Federation, tmp_path: Path) -> None:
    folder = write_job("brought-along", "numpy", tmp_path)
    results = run(federation, tmp_path, str(folder), "rounds=3")
    assert np.abs(np.load(results / "model" / "server.npy") - [1, -2, 3]).max() < 0.1


def test_a_flower_job_where_there_is_no_flower_ends_and_says_what_to_do(federation: Federation) -> None:
    done = federation.flarefleet("submit", "flower-digits")

    assert done.returncode == 1
    assert "Flower is not installed here" in done.stderr
    assert "extras: [flower]" in done.stderr
