"""A site of the job `fedprox-vla`: it fine-tunes the policy on its own recordings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fl_app.jobs.fedprox_vla.job import VlaParameters
from fl_app.jobs.shared.example_site import ExampleSite, weights_of
from fl_app.jobs.training import LocalResult, Round, Site, Weights

if TYPE_CHECKING:
    from fl_app.jobs.fedprox_vla.step import FedProxStep

LAST_RATE = 0.1
"""Learning rate at the end of a round, relative to the one at its beginning."""


class RobotSite(ExampleSite):
    """One site; its position seeds its synthetic recordings."""

    def begin(self, site: Site) -> None:
        """Open or generate the recordings, and build the policy."""
        from fl_app.jobs.fedprox_vla.policy import PolicyPipeline
        from fl_app.jobs.fedprox_vla.step import choose_device, choose_precision

        super().begin(site)
        self._settings = given = VlaParameters(**self.parameters)
        device = choose_device(given.device)
        self._precision = choose_precision(device, given.amp)
        self._pipeline = PolicyPipeline.build(given, given.dataset, site.folder, self._index, device)
        steps = given.local_epochs * -(-len(self._pipeline.recordings) // given.batch_size)
        if given.mu and steps < 2:
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
        last_epoch = losses[-(self._steps // self._settings.local_epochs) :]
        mean = sum(last_epoch) / len(last_epoch)
        self.log_all({"round_loss": mean, "skipped_steps": skipped}, round.number)
        return LocalResult(
            weights_of(self._pipeline.policy),
            examples=len(self._pipeline.recordings),
            metrics={"round_loss": mean},
        )

    def _fit(self, round: int) -> tuple[list[float], int]:
        """Train one round; return the loss of each step, and the number of steps that the scaler skipped."""
        import torch

        from fl_app.jobs.shared.examples import mixed_seed

        given, step = self._settings, self._new_step()
        losses: list[float] = []
        skipped = 0
        torch.manual_seed(mixed_seed(given.seed, self._index, round, 0))  # seeds the policy's own noise
        for epoch in range(given.local_epochs):
            for batch in self._pipeline.batches(given.batch_size, (given.seed, self._index, round, epoch)):
                rate = step.optimizer.param_groups[0]["lr"]
                result = step(partial(self._pipeline.loss, batch))
                metrics = {
                    "train_loss": result.loss,
                    "proximal": result.proximal,
                    "gradient_norm": result.gradient_norm,
                    "learning_rate": rate,
                }
                self.log_all(metrics, step=round * self._steps + len(losses))
                losses.append(result.loss)
                skipped += not result.stepped
        return losses, skipped

    def _new_step(self) -> FedProxStep:
        import torch

        from fl_app.jobs.fedprox_vla.step import FedProxStep
        from fl_app.jobs.shared.proximal_term import anchor_of

        given, policy = self._settings, self._pipeline.policy
        policy.train()
        optimizer = torch.optim.AdamW(
            [value for value in policy.parameters() if value.requires_grad], lr=given.learning_rate
        )
        return FedProxStep(
            policy,
            optimizer,
            anchor_of(policy),
            mu=given.mu,
            max_norm=given.max_norm,
            precision=self._precision,
            scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(
                optimizer, self._steps, eta_min=given.learning_rate * LAST_RATE
            ),
        )
