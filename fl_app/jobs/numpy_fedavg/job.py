"""The job `numpy-fedavg`: federated averaging of a NumPy array, with a script of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator
from typing_extensions import Self

from fl_app.jobs.numpy_fedavg import inputs
from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "Federated averaging of a NumPy array with a training script of your own, or the example's"
NEEDS = {"numpy": "flarefleet[jobs]"}
WARM_UP = ("fl_app.jobs.numpy_fedavg.recipe",)

EXAMPLE_MODEL = [0.0] * 5
"""Where the example starts; its script fits as many weights as there are."""

Script = Annotated[str, AfterValidator(inputs.script)]
Words = Annotated[str, AfterValidator(inputs.words)]
Command = Annotated[str, Field(min_length=1), AfterValidator(inputs.words)]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Transfer = Literal["FULL", "DIFF"]


class SiteSettings(JobParameters):
    """What is other at one site; what is left out is as for all."""

    train_script: Script | None = None
    """The script there."""
    train_args: Words | None = None
    """Its arguments there."""
    external_process: bool | None = None
    """Whether it is a process of its own there."""
    command: Command | None = None
    """What starts it there."""
    transfer: Transfer | None = None
    """What it sends back there."""


class NumpyFedAvgParameters(JobParameters):
    """What is trained, by whom, and how it is put together."""

    rounds: int = Field(5, ge=1, le=10_000)
    """How often the sites' arrays are put together."""
    model: list[Any] | str | None = None
    """The initial model: numbers as JSON, [[0, 0], [0, 0]], or a .npy file. Your own script needs one."""
    min_clients: int | None = Field(None, ge=1)
    """How many sites take part in each round, drawn anew; all of them if not given."""
    train_script: Script | None = None
    """A Python file that speaks NVFlare's Client API; it travels with the job. The example's if not given."""
    train_args: Words = ""
    """Its arguments. For the example: --steps --rate --examples --noise --seed --poison."""
    per_site: dict[str, SiteSettings] = Field(
        {}, description='What is other at some sites: {"site-2": {"train_args": "--steps 5"}}.'
    )
    external_process: bool = False
    """Whether the script is a process of its own at each site, or runs within the job's."""
    command: Command = "python3 -u"
    """What starts the script, if it is a process of its own."""
    launch_once: bool = True
    """Whether that process lives for all rounds, or for one."""
    shutdown_timeout: float = Field(0.0, ge=0, le=3600, allow_inf_nan=False)
    """Seconds in which that process may end by itself."""
    transfer: Transfer = "FULL"
    """What a site sends back: the array, or its difference to the one it received."""
    aggregator: Annotated[str, AfterValidator(inputs.aggregator_reference)] = "mean"
    """mean (weighted by examples), median (coordinate by coordinate), or FILE.py:CLASS, a ModelAggregator."""
    aggregation_weights: dict[str, Weight] = Field(
        {}, description='Further weights of some sites in the mean: {"site-1": 2.0}.'
    )
    exclude_vars: Annotated[str, AfterValidator(inputs.pattern)] | None = None
    """A regular expression; parameters whose names match are not averaged."""
    key_metric: str = Field("loss", min_length=1)
    """The metric that tells which round's model is the best."""
    key_metric_mode: Literal["min", "max"] = "min"
    """Whether less of it is better, or more."""
    stop_cond: str | None = None
    """Ends the job early: METRIC OPERATOR NUMBER, such as 'loss <= 0.01'."""
    patience: int | None = Field(None, ge=1)
    """Ends the job after so many rounds in which the metric of stop_cond did not improve."""
    memory_gc_rounds: int = Field(0, ge=0)
    """A site frees memory every so many rounds; never if 0."""

    @field_validator("model")
    @classmethod
    def _readable(cls, given: list[Any] | str | None) -> list[Any] | str | None:
        if given is None:
            return None
        path = str(Path(given).expanduser().absolute()) if isinstance(given, str) else given
        inputs.initial_model(path)
        return path

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        scripts = [self.train_script, *(settings.train_script for settings in self.per_site.values())]
        if self.model is None and any(scripts):
            raise ValueError("train_script needs its initial model, too: model=[0, 0, 0] or model=FILE.npy")
        if self.aggregator != "mean" and (self.aggregation_weights or self.exclude_vars):
            raise ValueError(
                "aggregation_weights and exclude_vars are of the mean; another aggregator ignores them"
            )
        if self.patience and not self.stop_cond:
            raise ValueError("patience needs stop_cond, which names the metric")
        if self.stop_cond:
            key, operator = inputs.condition(self.stop_cond)
            mode = "max" if operator.startswith(">") else "min"
            if key == self.key_metric and operator != "=" and mode != self.key_metric_mode:
                raise ValueError(
                    f"stop_cond={self.stop_cond} and key_metric_mode={self.key_metric_mode} contradict"
                )
        return self


PARAMETERS = NumpyFedAvgParameters


def recipe(parameters: NumpyFedAvgParameters, sites: Sequence[str]) -> Recipe:
    """Put the job together for these sites.

    Raises:
        ValueError: more sites a round than there are, settings for a site that is none of them, or an
            aggregator that is none.
    """
    from fl_app.jobs.numpy_fedavg.recipe import ArrayRecipe

    for name in ("per_site", "aggregation_weights"):
        strangers = [site for site in getattr(parameters, name) if site not in sites]
        if strangers:
            raise ValueError(f"{name}: {', '.join(strangers)}: none of the sites: {', '.join(sites)}")
    if parameters.min_clients and parameters.min_clients > len(sites):
        raise ValueError(
            f"min_clients={parameters.min_clients}, and there are {len(sites)}: {', '.join(sites)}"
        )
    return ArrayRecipe(parameters, sites)
