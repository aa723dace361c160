"""A site of the job `fedprox-vla`: it fine-tunes the policy on its own recordings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fl_app.jobs.training import LocalResult, Round, Site, SiteTraining, Weights

if TYPE_CHECKING:
    from fl_app.jobs.fedprox_vla.step import FedProxStep

LAST_RATE = 0.1
"""Learning rate at the end of a round, relative to the one at its beginning."""


@dataclass(eq=False, kw_only=True)
class RobotSite(SiteTraining):
    """One site; see `VlaParameters` for all arguments but `sites`."""

    sites: list[str]
    """Names of all sites; the position of a name seeds the site's synthetic recordings."""
    policy: str
    dataset: str
    episodes: int
    local_epochs: int
    learning_rate: float
    batch_size: int
    mu: float
    max_norm: float
    amp: Literal["auto", "off", "bf16", "fp16"]
    device: Literal["auto", "cpu", "cuda"]
    seed: int

    def begin(self, site: Site) -> None:
        """Open or generate the recordings, and build the policy."""
        import torch

        from fl_app.jobs.fedprox_vla.policy import PolicyPipeline, build_policy
        from fl_app.jobs.fedprox_vla.precision import choose_device, choose_precision
        from fl_app.jobs.fedprox_vla.recordings import make_recordings, open_recordings

        torch.set_num_threads(1)  # sites may share this machine
        self._index = site.position_among(self.sites)
        device = choose_device(self.device)
        self._precision = choose_precision(device, self.amp)
        policy = build_policy(self.policy, self.seed, device)
        folder = (
            Path(self.dataset)
            if self.dataset
            else make_recordings(site.folder / "recordings", (self.seed, self._index), self.episodes)
        )
        self._pipeline = PolicyPipeline(policy, open_recordings(folder, policy.config.chunk_size))
        steps = self.local_epochs * -(-len(self._pipeline.recordings) // self.batch_size)
        if self.mu and steps < 2:
            raise ValueError(
                f"{site.name} would take {steps} step per round, and the proximal term has no gradient at "
                "the first step. Submit with a smaller batch_size, more local_epochs, or mu=0"
            )
        self._steps = steps

    def train(self, weights: Weights, round: Round) -> LocalResult:
        """Fine-tune the global policy on this site's recordings.

        Logged by step over all rounds: `train_loss`, `proximal`, `gradient_norm` and `learning_rate`. Logged
        by round: `round_loss`, the mean of the last epoch, and `skipped_steps`, the steps that overflowed.
        """
        self._pipeline.policy.load_state_dict(weights)
        losses, skipped = self._fit(round.index)
        last_epoch = losses[-(self._steps // self.local_epochs) :]
        mean = sum(last_epoch) / len(last_epoch)
        self.log("round_loss", mean, step=round.number)
        self.log("skipped_steps", skipped, step=round.number)
        state = self._pipeline.policy.state_dict()
        return LocalResult(
            {name: value.detach().to("cpu", copy=True) for name, value in state.items()},
            examples=len(self._pipeline.recordings),
            metrics={"round_loss": mean},
        )

    def _fit(self, round: int) -> tuple[list[float], int]:
        """Train one round; return the loss of each step, and the number of steps that the scaler skipped."""
        import torch

        from fl_app.jobs.shared.examples import mixed_seed

        step = self._new_step()
        losses: list[float] = []
        skipped = 0
        torch.manual_seed(mixed_seed(self.seed, self._index, round, 0))  # seeds the policy's own noise
        for epoch in range(self.local_epochs):
            for batch in self._pipeline.batches(self.batch_size, (self.seed, self._index, round, epoch)):
                rate = step.optimizer.param_groups[0]["lr"]
                result = step(partial(self._pipeline.loss, batch))
                number = round * self._steps + len(losses)
                for tag, value in (
                    ("train_loss", result.loss),
                    ("proximal", result.proximal),
                    ("gradient_norm", result.gradient_norm),
                    ("learning_rate", rate),
                ):
                    self.log(tag, value, step=number)
                losses.append(result.loss)
                skipped += not result.stepped
        return losses, skipped

    def _new_step(self) -> FedProxStep:
        import torch

        from fl_app.jobs.fedprox_vla.step import FedProxStep
        from fl_app.jobs.shared.proximal_term import anchor_of

        policy = self._pipeline.policy
        policy.train()
        optimizer = torch.optim.AdamW(
            [value for value in policy.parameters() if value.requires_grad], lr=self.learning_rate
        )
        return FedProxStep(
            policy,
            optimizer,
            anchor_of(policy),
            mu=self.mu,
            max_norm=self.max_norm,
            precision=self._precision,
            scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(
                optimizer, self._steps, eta_min=self.learning_rate * LAST_RATE
            ),
        )
