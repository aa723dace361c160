"""A site of the job `probe`: it adds one to every number, or fails on request."""

from __future__ import annotations

import time

from fl_app.jobs.training import LocalResult, Round, Site, SiteTraining, Weights


class ProbeFailure(RuntimeError):  # noqa: N818 - an outcome that users read
    """The failure that the user requested."""


class Probe(SiteTraining):
    """One site.

    Args:
        seconds: duration of each round.
        failing_site: name of the site that fails; none if empty.
        failing_round: round in which it fails, from 1.
    """

    def __init__(self, seconds: float = 0.0, failing_site: str = "", failing_round: int = 1) -> None:
        super().__init__()
        self.seconds = seconds
        self.failing_site = failing_site
        self.failing_round = failing_round
        self._name = ""

    def begin(self, site: Site) -> None:
        """Remember the site's name."""
        self._name = site.name

    def train(self, weights: Weights, round: Round) -> LocalResult:
        """Add one to every number."""
        if self._name == self.failing_site and round.number == self.failing_round:
            raise ProbeFailure(f"{self._name} failed on request in round {self.failing_round}")
        time.sleep(self.seconds)
        self.log("round", round.number, step=round.number)
        after = {name: value + 1 for name, value in weights.items()}
        return LocalResult(after, examples=1, metrics={"round": float(round.number)})
