"""Parameters of the job `numpy-fedavg`; an alias is the name in NVFlare's recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from warnings import warn

from pydantic import AfterValidator, Field, field_validator, model_validator
from typing_extensions import Self

from fl_app.jobs.numpy_fedavg import inputs
from fl_app.jobs.parameters import JobParameters, JobWarning, QuorumParameters
from fl_app.metric_direction import Direction, direction_of

Script = Annotated[str, AfterValidator(inputs.script)]
CommandLine = Annotated[str, AfterValidator(inputs.command_line)]
Command = Annotated[str, Field(min_length=1), AfterValidator(inputs.command_line)]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Transfer = Literal["FULL", "DIFF"]


class SiteSettings(JobParameters):
    """Settings of one site; a setting that is missing has the common value."""

    train_script: Script | None = None
    """Training script of the site"""
    train_args: CommandLine | None = None
    """Arguments of the script"""
    external_process: bool | None = Field(default=None, serialization_alias="launch_external_process")
    """Whether the script is a separate process"""
    command: Command | None = None
    """Command that starts the script"""
    transfer: Transfer | None = Field(default=None, serialization_alias="params_transfer_type")
    """Kind of result: the array, or the difference"""


class NumpyFedAvgParameters(QuorumParameters):
    """Parameters of the job `numpy-fedavg`."""

    rounds: int = Field(5, ge=1, le=10_000, serialization_alias="num_rounds")
    """Number of rounds"""
    model: list[Any] | str | None = None
    """Initial model: numbers as JSON, [[0, 0], [0, 0]], or a .npy file; required with a script of your own"""
    min_clients: int | None = Field(None, ge=1)
    """Number of sites in each round, sampled anew; all sites if not set"""
    train_script: Script | None = None
    """Python file that uses NVFlare's Client API; it travels with the job. The example's if not set"""
    train_args: CommandLine = ""
    """Arguments of the script; the example has --steps --rate --examples --noise --seed --poison"""
    per_site: dict[str, SiteSettings] = Field(
        {}, description='Settings of individual sites: {"site-2": {"train_args": "--steps 5"}}'
    )
    external_process: bool = Field(False, serialization_alias="launch_external_process")
    """Whether the script is a separate process, or runs in the job process"""
    command: Command = "python3 -u"
    """Command that starts the script as a separate process"""
    launch_once: bool = True
    """Whether the separate process lives for all rounds, or for one"""
    shutdown_timeout: float = Field(0.0, ge=0, le=3600, allow_inf_nan=False)
    """Seconds within which the separate process may exit by itself"""
    transfer: Transfer = Field("FULL", serialization_alias="params_transfer_type")
    """Kind of result: the array, or its difference from the received array"""
    aggregator: Annotated[str, AfterValidator(inputs.aggregator_reference)] = "mean"
    """Aggregator: mean (weighted by examples), median (by coordinate), or FILE.py:CLASS, a ModelAggregator"""
    aggregation_weights: dict[str, Weight] = Field(
        {}, description='Additional weights of individual sites in the mean: {"site-1": 2.0}'
    )
    exclude_vars: Annotated[str, AfterValidator(inputs.pattern)] | None = None
    """Regular expression of parameter names that are excluded from the average"""
    key_metric: str = Field("loss", min_length=1)
    """Metric by which the best model is chosen"""
    key_metric_mode: Direction | None = None
    """Whether a smaller (min) or a larger value (max) of the metric is better; by its name if not set"""
    stop_cond: str | None = None
    """Condition that ends the job early: METRIC OPERATOR NUMBER, such as 'loss <= 0.01'"""
    patience: int | None = Field(None, ge=1)
    """Number of rounds without improvement of the metric of stop_cond after which the job ends"""
    memory_gc_rounds: int = Field(0, ge=0, serialization_alias="client_memory_gc_rounds")
    """Number of rounds after which a site frees memory; 0 for never"""

    @field_validator("model")
    @classmethod
    def _load_model(cls, given: list[Any] | str | None) -> list[Any] | str | None:
        if given is None:
            return None
        path = str(Path(given).expanduser().absolute()) if isinstance(given, str) else given
        inputs.initial_model(path)
        return path

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        scripts = [self.train_script, *(settings.train_script for settings in self.per_site.values())]
        if self.model is None and any(scripts):
            raise ValueError("train_script needs an initial model: model=[0, 0, 0] or model=FILE.npy")
        if self.aggregator != "mean" and (self.aggregation_weights or self.exclude_vars):
            raise ValueError("aggregation_weights and exclude_vars need aggregator=mean; others ignore them")
        if self.quorum and self.min_clients:
            raise ValueError("quorum and min_clients exclude each other: with min_clients, sites are sampled")
        if self.patience and not self.stop_cond:
            raise ValueError("patience needs stop_cond, which names the metric")
        if self.stop_cond:
            key, mode = inputs.condition(self.stop_cond)
            expected = self.key_metric_mode or direction_of(self.key_metric) or mode
            if key == self.key_metric and mode != expected:
                raise ValueError(f"stop_cond={self.stop_cond} contradicts key_metric_mode={expected}")
        return self

    def direction(self) -> Direction:
        """Return whether a smaller or a larger value of the key metric is better.

        An explicit mode decides, then the metric's name, then `stop_cond`. A mode against the name is a
        warning and no error: a name may mislead (the accuracy of a positioning system is an error in metres).
        """
        mode, named = self.key_metric_mode, direction_of(self.key_metric)
        if mode and named and mode != named:
            _warn(
                f"key_metric_mode={mode}: the model with the {'smallest' if mode == 'min' else 'largest'} "
                f"{self.key_metric} would be kept as the best. Remove key_metric_mode unless you mean this"
            )
        if known := mode or named:
            return known
        if self.stop_cond and inputs.condition(self.stop_cond)[0] == self.key_metric:
            return inputs.condition(self.stop_cond)[1]
        _warn(
            f"key_metric={self.key_metric}: the name does not tell whether a larger value is better; max is "
            "assumed, as in NVFlare. Set key_metric_mode"
        )
        return "max"


def _warn(text: str) -> None:
    warn(text, JobWarning, stacklevel=3)
