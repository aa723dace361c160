"""The job fedprox-vla with the real lerobot in its own environment (`make vla`), on processes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.federation.federation import running, set_options
from tests.federation.other_environment import OtherEnvironment, run_tests
from tests.vla import environment
from tests.vla.fake_hub import FakeHub

pytestmark = [pytest.mark.federation, pytest.mark.extended]

TOKEN = "hf_token_of_this_test"


class RobotFederation(OtherEnvironment):
    """A federation in .venv-vla."""

    def python(self) -> Path:
        return environment.ENVIRONMENT / "bin" / "python"


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
def federation(
    vla: Path, hub: FakeHub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RobotFederation]:
    """A server and two sites that publish on the hub."""
    folder = tmp_path_factory.mktemp("vla")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("HF_ENDPOINT", hub.url), ("HF_TOKEN", TOKEN), ("OMP_NUM_THREADS", "1")):
            patch.setenv(name, value)
        with running(folder, RobotFederation, sites=2, name="robots") as federation:
            yield federation


def test_the_policy_improves_and_the_best_one_is_published(
    federation: RobotFederation, hub: FakeHub, tmp_path: Path
) -> None:
    parameters = {"rounds": 3, "local_epochs": 1, "episodes": 2, "evaluate_every": 2}
    options = set_options({**parameters, "hub_repository": "lab/arm"})
    federation.run("submit", "fedprox-vla", *options, "--fetch", str(tmp_path / "result"), timeout=600)

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


def test_a_refusal_by_the_hub_ends_the_job_before_training(federation: RobotFederation, hub: FakeHub) -> None:
    hub.may_write = False
    try:
        refused = federation.flarefleet(
            "submit", "fedprox-vla", "--set", "rounds=1", "--set", "hub_repository=lab/other"
        )
    finally:
        hub.may_write = True

    assert refused.returncode == 1
    assert "did not create the repository lab/other" in refused.stderr
    assert TOKEN not in refused.stderr
    assert "round 1 of 1" not in refused.stderr


def test_the_unit_tests_pass_in_the_environment(vla: Path) -> None:
    """Run tests/vla and this job's rows of test_every_job where lerobot is installed."""
    run_tests(vla / "bin" / "python", "-k", "vla", "tests/vla", "tests/unit/jobs/test_every_job.py")
