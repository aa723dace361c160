"""The app's configuration: the parameters of the job `fedadagrad`, in kebab case."""

from __future__ import annotations

from collections.abc import Mapping

from fl_app.jobs.fedadagrad.job import DigitParameters

SITES = "num-sites"


def settings_in(run_config: Mapping[str, str | int | float | bool]) -> tuple[DigitParameters, int]:
    """Return the parameters and the number of sites from the configuration of a Flower run.

    Raises:
        pydantic.ValidationError: a value is invalid.
    """
    named = {name.replace("-", "_"): value for name, value in run_config.items() if name != SITES}
    return DigitParameters.model_validate(named), int(run_config[SITES])
