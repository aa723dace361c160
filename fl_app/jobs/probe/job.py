"""The job `probe`: rounds without training, to check whether a federation runs jobs, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from fl_app.jobs.parameters import QuorumParameters, require_sites

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "Trains nothing: checks that the server and every site can run a job, and how fast a round is"
NEEDS = {"torch": "flarefleet[jobs]"}
WARM_UP = ("fl_app.jobs.recipe",)


class ProbeParameters(QuorumParameters):
    """Parameters of the job `probe`."""

    rounds: int = Field(2, ge=1, le=10_000)
    """Number of rounds"""
    seconds: float = Field(0.0, ge=0, le=3600, allow_inf_nan=False)
    """Duration of a round at each site, in seconds"""
    numbers: int = Field(1000, ge=1, le=500_000_000)
    """Size of the model: numbers of 4 bytes each"""
    failing_site: str = ""
    """Name of a site that fails, to see how a failure is reported; empty for none"""
    failing_round: int = Field(1, ge=1)
    """Round in which that site fails, from 1"""


PARAMETERS = ProbeParameters


def recipe(parameters: ProbeParameters, sites: Sequence[str]) -> Recipe:
    """Make the recipe for these sites.

    Raises:
        ValueError: the failing site does not take part, or the job has fewer sites than the quorum.
    """
    from fl_app.jobs.probe.client import Probe
    from fl_app.jobs.recipe import TrainingRecipe

    require_sites("failing_site", [parameters.failing_site] if parameters.failing_site else [], sites)
    return TrainingRecipe(
        name="probe",
        model={"class_path": "fl_app.jobs.probe.model.Numbers", "args": {"count": parameters.numbers}},
        num_rounds=parameters.rounds,
        sites=sites,
        quorum=parameters.results_needed(len(sites)),
        quorum_grace=parameters.grace,
        training=Probe(parameters.seconds, parameters.failing_site, parameters.failing_round),
        key_metric="",
    )
