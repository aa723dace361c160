"""The job `probe`: rounds without training, over the whole way that a real job takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "Trains nothing: tells whether the server and every site can run a job, and how fast a round is"
NEEDS = {"torch": "flarefleet[jobs]"}
WARM_UP = ("fl_app.jobs.recipe",)


class ProbeParameters(JobParameters):
    """What each site does in a round."""

    rounds: int = Field(2, ge=1, le=10_000)
    """How often the model goes to every site and back."""
    seconds: float = Field(0.0, ge=0, le=3600, allow_inf_nan=False)
    """How long a site pretends to train in each round."""
    numbers: int = Field(1000, ge=1, le=500_000_000)
    """Size of the model: so many numbers of 4 bytes each."""
    failing_site: str = ""
    """A site that fails, to see how a failure is reported; none if empty."""
    failing_round: int = Field(1, ge=1)
    """In which round it fails."""


PARAMETERS = ProbeParameters


def recipe(parameters: ProbeParameters, sites: Sequence[str]) -> Recipe:
    """Put the job together for these sites.

    Raises:
        ValueError: the site that is to fail is none of them.
    """
    from fl_app.jobs.probe.client import Probe
    from fl_app.jobs.recipe import TrainingRecipe

    if parameters.failing_site and parameters.failing_site not in sites:
        raise ValueError(f"failing_site={parameters.failing_site} is none of the sites: {', '.join(sites)}")
    return TrainingRecipe(
        name="probe",
        model={"class_path": "fl_app.jobs.probe.model.Numbers", "args": {"count": parameters.numbers}},
        num_rounds=parameters.rounds,
        sites=sites,
        training=Probe(
            seconds=parameters.seconds,
            failing_site=parameters.failing_site,
            failing_round=parameters.failing_round,
        ),
        key_metric="round",
    )
