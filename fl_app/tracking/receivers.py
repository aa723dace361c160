"""Trackers to which the server sends all logged values: the variable FLARE_TRACKING names them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from fl_app.contract import ENV_TRACKING
from fl_app.installing import pip_install

RECEIVERS: Mapping[str, str] = {
    "mlflow": "fl_app.tracking.forward.mlflow_run:MLflow",
    "wandb": "fl_app.tracking.forward.wandb_run:WandB",
}
"""MODULE:CLASS of each `fl_app.tracking.forward.receiver.Receiver`, by the name of its Python package."""

_REQUIRED = {"mlflow": ("MLFLOW_TRACKING_URI",), "wandb": ("WANDB_API_KEY", "WANDB_MODE")}
"""Variables of which one must be set. Without an address MLflow would write into the server's own folder."""


class TrackingSettingsError(ValueError):
    """FLARE_TRACKING, or a variable of a tracker, is invalid."""


def requested_receivers(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the trackers that FLARE_TRACKING requests.

    Raises:
        TrackingSettingsError: a tracker is unknown or not installed, or its address is missing.
    """
    text = environment.get(ENV_TRACKING, "")
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in RECEIVERS:
            raise TrackingSettingsError(
                f"{ENV_TRACKING}={text}: unknown tracker {name}; available: {', '.join(RECEIVERS)}"
            )
        if find_spec(name) is None:
            install = pip_install(["flarefleet[tracking]"])
            raise TrackingSettingsError(f"{ENV_TRACKING}={text}: {name} is not installed; run: {install}")
        if not any(environment.get(variable) for variable in _REQUIRED[name]):
            raise TrackingSettingsError(f"{ENV_TRACKING}={text}: {' or '.join(_REQUIRED[name])} is not set")
    return names
