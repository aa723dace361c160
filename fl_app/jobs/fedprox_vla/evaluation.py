"""The server's look at the global policy: how far its actions are from those of other recordings."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from fl_app.jobs.fedprox_vla.policy import Learner, save_policy
from fl_app.jobs.journal import MODEL_FOLDER, Journal

HISTORY = "evaluation_history.json"
CARD = """---
library_name: lerobot
pipeline_tag: robotics
tags: [robotics, smolvla, federated-learning]
---
# SmolVLA, fine-tuned by FedProx

Trained by a federation with Flarefleet's job fedprox-vla; no recording left its site.
This is the policy after {round} rounds, the best by the server's evaluations: mean squared error of
its actions {squared_error:.4f}, loss {loss:.4f}, parameter norm {parameter_norm:.2f}.

The processors normalise by the statistics of the server's own recordings.
"""


class Evaluation(BaseModel):
    """The global policy on the server's recordings."""

    model_config = ConfigDict(frozen=True)

    round: int
    """After how many rounds; 0 is the untrained policy."""
    squared_error: float
    """Mean squared error of its actions, in the units of the recordings."""
    loss: float
    """SmolVLA's own, with the same noise at every evaluation."""
    parameter_norm: float
    is_best: bool
    """A smaller error than every evaluation before."""


@dataclass
class PolicyEvaluator:
    """Measures policies with one model and one set of recordings, and keeps the best.

    Args:
        learner: the model is built once; its weights are replaced at each evaluation.
        journal: where the results are written.
        batch_size: frames at a time.
        seed: of the noise, the same at every evaluation, so that policies can be compared.
    """

    learner: Learner
    journal: Journal
    batch_size: int
    seed: int
    history: list[Evaluation] = field(default_factory=list)

    def evaluate(self, rounds_done: int, weights: Mapping[str, Tensor]) -> Evaluation:
        """Measure the policy with these weights, and keep it if it is the best so far."""
        self.learner.policy.load_state_dict(dict(weights))
        self.learner.policy.eval()
        error, loss = self._measure()
        evaluation = Evaluation(
            round=rounds_done,
            squared_error=error,
            loss=loss,
            parameter_norm=norm(weights),
            is_best=all(error < earlier.squared_error for earlier in self.history),
        )
        self.history.append(evaluation)
        self.journal.write_json(f"round_{rounds_done}_server_eval.json", evaluation.model_dump())
        self.journal.write_json(HISTORY, [each.model_dump() for each in self.history])
        if evaluation.is_best:
            self._keep(evaluation)
        return evaluation

    @property
    def best(self) -> Path:
        """The folder of the best policy so far, in the hub's format."""
        return self.journal.folder / MODEL_FOLDER

    @torch.no_grad()
    def _measure(self) -> tuple[float, float]:
        errors, losses, frames = 0.0, 0.0, 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            for batch in self.learner.batches(self.batch_size, seed=None):
                error = self.learner.squared_error(batch)
                errors += float(error.double().sum())
                losses += float(self.learner.loss(batch)) * len(error)
                frames += len(error)
        return errors / frames, losses / frames

    def _keep(self, evaluation: Evaluation) -> None:
        """Write policy and processors beside, then put them in the place of the last best."""
        new = self.journal.folder / f".{MODEL_FOLDER}.new"
        shutil.rmtree(new, ignore_errors=True)
        save_policy(self.learner, new, CARD.format(**evaluation.model_dump()))
        shutil.rmtree(self.best, ignore_errors=True)
        new.rename(self.best)


def norm(weights: Mapping[str, Tensor]) -> float:
    """The Euclidean norm of all parameters together."""
    return math.sqrt(sum(float(value.double().square().sum()) for value in weights.values()))
