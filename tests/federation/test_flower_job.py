"""The job `flower-digits` in a federation with Flower: its results, its failures and its processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from deploy.session import AdminKit, open_session
from deploy.session.session import COMPLETED
from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.fedadagrad.schedule import sample
from maintenance.flower_environment import create
from tests.federation import stock_flower_job
from tests.federation.federation import ADMIN, running, set_options
from tests.federation.flower import FlowerFederation
from tests.federation.other_environment import run_tests
from tests.unit.fedadagrad.reference import run
from tests.waiting import eventually

pytestmark = [pytest.mark.federation, pytest.mark.extended]

SITES = ["site-1", "site-2"]
PARAMETERS = DigitParameters(rounds=2, fraction_train=1, local_epochs=2, hidden=16, seed=5)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlowerFederation]:
    """A server and two sites."""
    folder = tmp_path_factory.mktemp("flower")
    with running(folder, FlowerFederation, name="flower", sites=len(SITES)) as federation:
        yield federation


def test_the_job_equals_its_reference_and_leaves_no_process(
    federation: FlowerFederation, tmp_path: Path
) -> None:
    options = set_options(PARAMETERS.model_dump())
    federation.run("submit", "flower-digits", "--fetch", str(tmp_path / "results"), *options)

    sampled = [sample(SITES, 1, PARAMETERS.seed, round) for round in range(PARAMETERS.rounds)]
    expected = run(PARAMETERS, SITES, sampled)
    stored = load_file(tmp_path / "results" / "model" / "last_model.safetensors")
    for name, value in expected.weights[-1].items():
        torch.testing.assert_close(stored[name].double(), torch.tensor(value), rtol=0, atol=1e-4)
    history = _json(tmp_path / "results" / "metrics" / "evaluation_history.json")
    assert [evaluation["accuracy"] for evaluation in history] == pytest.approx(expected.accuracy, abs=0.01)
    reports = _json(tmp_path / "results" / "metrics" / "training_history.json")
    assert [(report["round"], report["site"]) for report in reports] == [
        (round, site) for round in (1, 2) for site in SITES
    ]
    logged = {folder.name for folder in (tmp_path / "results" / "tb_events").iterdir()}
    assert logged > set(SITES), "the server logs metrics, too"
    eventually(lambda: not federation.flower_processes(), 30, "Flower's processes end with the job")


def test_a_client_app_that_raises_ends_the_job_with_its_site_and_its_error(
    federation: FlowerFederation, tmp_path: Path
) -> None:
    watched = federation.flarefleet("watch", _submit_raising(federation, tmp_path))

    assert watched.returncode == 1
    assert "site-2: the ClientApp raised" in watched.stderr
    assert "FileNotFoundError" in watched.stderr
    assert "no images here" in watched.stderr


@pytest.mark.stock
def test_nvflare_completes_a_job_whose_client_app_raises(
    federation: FlowerFederation, tmp_path: Path
) -> None:
    job_id = federation.submit_folder(stock_flower_job.export(tmp_path))
    with open_session(AdminKit.read(federation.kit(ADMIN))) as session:
        eventually(lambda: session.job(job_id).is_finished, 600, "the job has ended")
        assert session.job(job_id).status == COMPLETED
    log = federation.run_folder.workspace("site-2") / job_id / "client_app_log.txt"
    assert "FileNotFoundError: no images here" in log.read_text(encoding="utf-8")


def test_the_guard_ends_a_job_with_nvflares_flower_integration(
    federation: FlowerFederation, tmp_path: Path
) -> None:
    job_id = federation.submit_folder(stock_flower_job.export(tmp_path, guarded=True))
    watched = federation.flarefleet("watch", job_id)
    assert watched.returncode == 1
    assert "server, controller (FlowerController): NVFlare's Flower integration ignores" in watched.stderr
    assert "FlowerAppRecipe" in watched.stderr


def test_an_aborted_job_leaves_no_process(federation: FlowerFederation) -> None:
    job_id = federation.submit("flower-digits")
    eventually(
        lambda: len(federation.flower_processes()) >= 3, 120, "Flower runs at the server and two sites"
    )

    aborted = federation.flarefleet("abort", job_id)

    assert aborted.returncode == 0, aborted.stderr
    eventually(lambda: not federation.flower_processes(), 60, "no process of Flower is left")


def test_the_tests_that_need_flower_pass() -> None:
    run_tests(create(), "tests/flower")


def _submit_raising(federation: FlowerFederation, folder: Path) -> str:
    federation.run("export", "flower-digits", str(folder))
    app = "tests.federation.raising_flower_app"
    for config in folder.rglob("config_fed_*.json"):
        text = config.read_text(encoding="utf-8").replace("fl_app.jobs.flower_digits.app", app)
        document = json.loads(text)
        for workflow in document.get("workflows", ()):
            workflow["args"]["run_config"] = {"rounds": 50}
        config.write_text(json.dumps(document), encoding="utf-8")
    return federation.submit_folder(folder / "flower-digits")


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))
