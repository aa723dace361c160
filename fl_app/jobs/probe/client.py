"""What a site does in the job `probe`: add one to every number, or fail when told to."""

from __future__ import annotations

import time

from fl_app.jobs.training import LocalResult, Round, Site, SiteTraining, Weights


class ProbeFailure(RuntimeError):  # noqa: N818 - read by people, in logs
    """The failure that was asked for."""


class Probe(SiteTraining):
    """One site's part.

    Args:
        seconds: how long each round takes.
        failing_site: which site fails; none if empty.
        failing_round: when, from 1.
    """

    def __init__(self, seconds: float = 0.0, failing_site: str = "", failing_round: int = 1) -> None:
        super().__init__()
        self.seconds = seconds
        self.failing_site = failing_site
        self.failing_round = failing_round
        self._name = ""

    def begin(self, site: Site) -> None:
        """Remember which site this is."""
        self._name = site.name

    def train(self, weights: Weights, round: Round) -> LocalResult:
        """Add one to every number."""
        if self._name == self.failing_site and round.number + 1 == self.failing_round:
            raise ProbeFailure(f"{self._name} was told to fail in round {self.failing_round}")
        time.sleep(self.seconds)
        self.log("round", round.number + 1, step=round.number)
        after = {name: value + 1 for name, value in weights.items()}
        return LocalResult(after, examples=1, metrics={"round": float(round.number + 1)})
