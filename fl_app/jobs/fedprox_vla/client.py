"""What a site does in the job `fedprox-vla`: fine-tune the policy on its own recordings."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fl_app.jobs.training import LocalResult, Round, Site, SiteTraining, Weights

if TYPE_CHECKING:
    from fl_app.jobs.fedprox_vla.step import FedProxStep

LAST_RATE = 0.1
"""The learning rate at the end of a round, as a share of that at its beginning."""


class RobotSite(SiteTraining):
    """One site.

    Args:
        sites: the names of all sites; a site's place among them seeds its made-up recordings.
        policy: see `VlaParameters`, as all that follows.
    """

    def __init__(
        self,
        *,
        sites: list[str],
        policy: str,
        dataset: str,
        episodes: int,
        local_epochs: int,
        learning_rate: float,
        batch_size: int,
        mu: float,
        max_norm: float,
        amp: Literal["auto", "off", "bf16", "fp16"],
        device: Literal["auto", "cpu", "cuda"],
        seed: int,
    ) -> None:
        super().__init__()
        self.sites = sites
        self.policy = policy
        self.dataset = dataset
        self.episodes = episodes
        self.local_epochs = local_epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.mu = mu
        self.max_norm = max_norm
        self.amp = amp
        self.device = device
        self.seed = seed

    def begin(self, site: Site) -> None:
        """Open or make the recordings, and build the policy."""
        import torch

        from fl_app.jobs.fedprox_vla.policy import Learner, build_policy
        from fl_app.jobs.fedprox_vla.precision import choose_device, choose_precision
        from fl_app.jobs.fedprox_vla.recordings import make_recordings, open_recordings

        torch.set_num_threads(1)  # sites may share this machine
        if site.name not in self.sites:
            raise ValueError(f"{site.name} is not among the job's sites: {', '.join(self.sites)}")
        self._index = self.sites.index(site.name)
        device = choose_device(self.device)
        self._precision = choose_precision(device, self.amp)
        policy = build_policy(self.policy, self.seed, device)
        folder = (
            Path(self.dataset)
            if self.dataset
            else make_recordings(site.folder / "recordings", (self.seed, self._index), self.episodes)
        )
        self._learner = Learner(policy, open_recordings(folder, policy.config.chunk_size))
        steps = self.local_epochs * -(-len(self._learner.recordings) // self.batch_size)
        if self.mu and steps < 2:
            raise ValueError(
                f"{site.name} would take {steps} step a round, and the proximal term has no gradient at "
                "the first: it would be FedAvg. Submit with a smaller batch_size, more local_epochs, or mu=0"
            )
        self._steps = steps

    def train(self, weights: Weights, round: Round) -> LocalResult:
        """Fine-tune the global policy on this site's recordings.

        Logged, by step over all rounds: `train_loss`, `proximal`, `gradient_norm` and `learning_rate`; by
        round: `round_loss`, the mean of the last pass, and `skipped_steps`, where half precision overflowed.
        """
        self._learner.policy.load_state_dict(weights)
        losses, skipped = self._fit(round.number)
        last_pass = losses[-(self._steps // self.local_epochs) :]
        mean = sum(last_pass) / len(last_pass)
        self.log("round_loss", mean, step=round.number)
        self.log("skipped_steps", skipped, step=round.number)
        state = self._learner.policy.state_dict()
        return LocalResult(
            {name: value.detach().to("cpu", copy=True) for name, value in state.items()},
            examples=len(self._learner.recordings),
            metrics={"round_loss": mean},
        )

    def _fit(self, round: int) -> tuple[list[float], int]:
        """One round; the loss of each step, and how many steps the scaler left out."""
        import torch

        step = self._new_step()
        losses: list[float] = []
        skipped = 0
        torch.manual_seed(self._mixed(round, 0))  # of the policy's own noise
        for epoch in range(self.local_epochs):
            for batch in self._learner.batches(self.batch_size, (self.seed, self._index, round, epoch)):
                rate = step.optimizer.param_groups[0]["lr"]
                result = step(partial(self._learner.loss, batch))
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

        from fl_app.jobs.fedprox_vla.step import FedProxStep, anchor_of

        policy = self._learner.policy
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

    def _mixed(self, *numbers: int) -> int:
        import numpy as np

        return int(np.random.SeedSequence((self.seed, self._index, *numbers)).generate_state(1)[0])
