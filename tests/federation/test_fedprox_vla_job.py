"""The job fedprox-vla with the real lerobot in its own environment (`make vla`), on processes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.federation.federation import set_options, write_project
from tests.federation.other_environment import run_tests
from tests.vla import environment
from tests.vla.fake_hub import FakeHub

pytestmark = [pytest.mark.federation, pytest.mark.extended]

TOKEN = "hf_token_of_this_test"
Flarefleet = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def vla() -> Path:
    """The environment with lerobot; CI creates it, other machines skip the tests if it is missing."""
    if not environment.is_installed() and os.environ.get("CI") != "true":
        pytest.skip("the environment with lerobot is missing; create it: make vla")
    return environment.install()


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    stand_in = FakeHub(TOKEN)
    yield stand_in
    stand_in.close()


@pytest.fixture(scope="module")
def flarefleet(vla: Path, hub: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flarefleet]:
    """The command line of that environment, for a running federation."""
    folder = tmp_path_factory.mktemp("vla")
    write_project(folder, sites=2, name="robots")
    variables = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [vla / "bin" / "flarefleet", *arguments],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    for command in ("provision", "up"):
        done = run(command)
        assert done.returncode == 0, done.stderr
    yield run
    assert run("down").returncode == 0


def test_the_policy_improves_and_the_best_one_is_published(
    flarefleet: Flarefleet, hub: FakeHub, tmp_path: Path
) -> None:
    parameters = {"rounds": 3, "local_epochs": 1, "episodes": 2, "evaluate_every": 2}
    submitted = flarefleet(
        "submit",
        "fedprox-vla",
        *set_options({**parameters, "hub_repository": "lab/arm"}),
    )
    assert submitted.returncode == 0, submitted.stderr
    fetched = flarefleet("fetch", submitted.stdout.strip(), str(tmp_path / "result"))
    assert fetched.returncode == 0, fetched.stderr

    (history_file,) = (tmp_path / "result").rglob("evaluation_history.json")
    history = json.loads(history_file.read_text())
    assert [one["round"] for one in history] == [0, 2, 3]
    assert history[-1]["squared_error"] < history[0]["squared_error"]
    for one in history:
        measured = json.loads((history_file.parent / f"round_{one['round']}_server_eval.json").read_text())
        assert measured == one
    best = min(history, key=lambda one: one["squared_error"])
    pushed = hub.repositories["lab/arm"]
    assert f"after {best['round']} rounds" in pushed["README.md"].decode()
    kept = tmp_path / "result" / "model" / "best_model" / "model.safetensors"
    assert pushed["model.safetensors"] == kept.read_bytes()


def test_a_refusal_by_the_hub_ends_the_job_before_training(flarefleet: Flarefleet, hub: FakeHub) -> None:
    hub.may_write = False
    try:
        refused = flarefleet(
            "submit", "fedprox-vla", "--set", "rounds=1", "--set", "hub_repository=lab/other"
        )
    finally:
        hub.may_write = True

    assert refused.returncode == 1
    assert "did not create the repository lab/other" in refused.stderr
    assert TOKEN not in refused.stderr
    assert "round 1/1" not in refused.stderr


def test_the_unit_tests_pass_in_the_environment(vla: Path) -> None:
    """Run tests/vla and this job's rows of test_every_job where lerobot is installed."""
    run_tests(vla / "bin" / "python", "-k", "vla", "tests/vla", "tests/unit/jobs/test_every_job.py")
