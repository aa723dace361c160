"""Evaluation of the global policy at the server: the error of its actions on the server's recordings."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fl_app.jobs.fedprox_vla.policy import PolicyPipeline, save_policy
from fl_app.jobs.shared.journal import MODEL_FOLDER, Evaluation, Journal, parameter_norm

CARD = """---
library_name: lerobot
pipeline_tag: robotics
tags: [robotics, smolvla, federated-learning]
---
# SmolVLA, fine-tuned by FedProx

A federation trained this policy with Flarefleet's job fedprox-vla; no recording left its site.
It is the policy after {round} rounds, the best one by the server's evaluations: mean squared error of
its actions {squared_error:.4f}, loss {loss:.4f}, parameter norm {parameter_norm:.2f}.

The processors normalise by the statistics of the server's own recordings.
"""


class PolicyEvaluation(Evaluation, frozen=True):
    """The global policy on the server's recordings. The loss is SmolVLA's, with the same noise every time."""

    squared_error: float
    """Mean squared error of the actions, in the units of the recordings."""


class PolicyJournal(Journal):
    """The evaluations of policies."""

    evaluation = PolicyEvaluation


@dataclass
class PolicyEvaluator:
    """Evaluate policies with one model and one set of recordings, and keep the best.

    Args:
        pipeline: each evaluation replaces the weights of its policy.
        journal: writes the results.
        batch_size: frames per batch.
        seed: seed of the noise, the same for every evaluation, so that policies can be compared.
    """

    pipeline: PolicyPipeline
    journal: Journal
    batch_size: int
    seed: int

    def evaluate(self, rounds_done: int, weights: Mapping[str, Tensor]) -> PolicyEvaluation:
        """Evaluate the policy with these weights; keep it if it is the best."""
        self.pipeline.policy.load_state_dict(dict(weights))
        self.pipeline.policy.eval()
        error, loss = self._measure()
        evaluation = PolicyEvaluation(
            round=rounds_done,
            squared_error=error,
            loss=loss,
            parameter_norm=parameter_norm(weights.values()),
            is_best=all(error < earlier.squared_error for earlier in self.journal.evaluations),
        )
        self.journal.record(evaluation)
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
            for batch in self.pipeline.batches(self.batch_size, seed=None):
                error = self.pipeline.squared_error(batch)
                errors += float(error.double().sum())
                losses += float(self.pipeline.loss(batch)) * len(error)
                frames += len(error)
        return errors / frames, losses / frames

    def _keep(self, evaluation: PolicyEvaluation) -> None:
        """Write policy and processors to a new folder, then replace the previous best by it."""
        new = self.journal.folder / f".{MODEL_FOLDER}.new"
        shutil.rmtree(new, ignore_errors=True)
        save_policy(self.pipeline, new, CARD.format(**evaluation.model_dump()))
        shutil.rmtree(self.best, ignore_errors=True)
        new.rename(self.best)
