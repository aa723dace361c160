"""The real lerobot code path, with a tiny random policy and synthetic recordings. Runs in .venv-vla."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("lerobot", reason="runs in .venv-vla: make vla")

import torch

from fl_app.jobs.fedprox_vla.client import RobotSite
from fl_app.jobs.fedprox_vla.evaluation import PolicyEvaluator, PolicyJournal
from fl_app.jobs.fedprox_vla.job import VlaParameters
from fl_app.jobs.fedprox_vla.policy import PolicyPipeline, build_policy
from fl_app.jobs.training import Round, Site


class Lab(RobotSite):
    """A site that keeps its logged values."""

    def __init__(self, **settings: object) -> None:
        super().__init__(["lab-a", "lab-b"], {"episodes": 2, "device": "cpu", **settings})
        self.logged: dict[str, list[float]] = {}

    def log(self, tag: str, value: float, step: int) -> None:
        self.logged.setdefault(tag, []).append(value)


def begin(lab: Lab, folder: Path, name: str = "lab-a") -> Lab:
    folder.mkdir()
    lab.begin(Site(name, "job", folder))
    return lab


def evaluator(folder: Path) -> PolicyEvaluator:
    folder.mkdir()
    pipeline = PolicyPipeline.build(VlaParameters(episodes=2), "", folder, position=99)
    return PolicyEvaluator(pipeline, PolicyJournal(folder), 8, seed=0)


def test_every_site_builds_the_same_policy() -> None:
    one, other = build_policy(seed=1).state_dict(), build_policy(seed=1).state_dict()

    assert all(torch.equal(one[name], other[name]) for name in one)
    assert any(not torch.equal(one[name], value) for name, value in build_policy(seed=2).state_dict().items())


def test_federated_training_decreases_the_error_of_the_actions(tmp_path: Path) -> None:
    """Average two labs over three rounds, as the federation does."""
    measured = evaluator(tmp_path / "server")
    labs = [begin(Lab(), tmp_path / name, name) for name in ("lab-a", "lab-b")]
    weights = build_policy().state_dict()
    measured.evaluate(0, weights)

    for number in range(3):
        results = [lab.train({**weights}, Round(number + 1, 3)) for lab in labs]
        weights = {
            name: torch.stack([result.weights[name].double() for result in results]).mean(0).to(value.dtype)
            for name, value in weights.items()
        }
        measured.evaluate(number + 1, weights)

    history = measured.journal.evaluations
    assert history[-1].squared_error < 0.8 * history[0].squared_error
    assert all(lab.logged["proximal"][0] == 0 for lab in labs)  # the first step starts at the anchor
    assert all(max(lab.logged["proximal"]) > 0 for lab in labs)


def test_the_proximal_term_limits_the_change_of_the_policy(tmp_path: Path) -> None:
    weights = build_policy().state_dict()
    moved = {}
    for mu in (0.0, 50.0):
        result = begin(Lab(mu=mu), tmp_path / str(mu)).train({**weights}, Round(1, 1))
        moved[mu] = sum(
            float((result.weights[name] - value).double().square().sum()) for name, value in weights.items()
        )

    assert moved[50.0] < 0.5 * moved[0.0]


def test_an_evaluation_is_reproducible(tmp_path: Path) -> None:
    measured = evaluator(tmp_path / "server")
    weights = build_policy().state_dict()

    first, second = measured.evaluate(0, weights), measured.evaluate(1, weights)

    assert (first.squared_error, first.loss) == (second.squared_error, second.loss)
    assert first.is_best and not second.is_best


def test_lerobot_loads_the_best_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    measured = evaluator(tmp_path / "server")
    weights = build_policy(seed=5).state_dict()
    measured.evaluate(0, weights)

    monkeypatch.chdir(measured.best)
    loaded = SmolVLAPolicy.from_pretrained(measured.best).state_dict()

    assert all(torch.equal(loaded[name], value) for name, value in weights.items())
    assert "after 0 rounds" in (measured.best / "README.md").read_text()


def test_one_step_per_round_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="would take 1 step per round"):
        begin(Lab(batch_size=512, local_epochs=1), tmp_path / "a")

    assert begin(Lab(batch_size=512, local_epochs=1, mu=0.0), tmp_path / "b")


def test_a_folder_without_a_valid_dataset_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no LeRobot dataset .* mount the site's data there"):
        begin(Lab(dataset=str(tmp_path)), tmp_path / "a")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read as a LeRobot dataset"):
        begin(Lab(dataset=str(tmp_path)), tmp_path / "b")
