"""Which trackers the server passes everything on to: FLARE_TRACKING names them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from fl_app.contract import ENV_TRACKING

RECEIVERS: Mapping[str, str] = {
    "mlflow": "fl_app.tracking.forward.mlflow_run:MLflow",
    "wandb": "fl_app.tracking.forward.wandb_run:WandB",
}
"""Name -> MODULE:CLASS, a `fl_app.tracking.forward.receiver.Receiver`. Each name is also its package's."""

_ADDRESSES = {"mlflow": ("MLFLOW_TRACKING_URI",), "wandb": ("WANDB_API_KEY", "WANDB_MODE")}
"""One of these variables must be set: without an address MLflow would write into the server's own folder."""


class WrongTracking(ValueError):  # noqa: N818 - its text is what a person reads
    """FLARE_TRACKING, or what belongs to it, cannot be."""


def wanted_receivers(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The trackers that the environment asks for.

    Raises:
        WrongTracking: there is no such tracker, its package is not installed, or nobody says where it is.
    """
    text = environment.get(ENV_TRACKING, "")
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in RECEIVERS:
            raise WrongTracking(
                f"{ENV_TRACKING}={text}: there is no {name}; there are: {', '.join(RECEIVERS)}"
            )
        if find_spec(name) is None:
            raise WrongTracking(
                f"{ENV_TRACKING}={text}: {name} is not installed here: pip install 'flarefleet[tracking]'"
            )
        if not any(environment.get(variable) for variable in _ADDRESSES[name]):
            raise WrongTracking(f"{ENV_TRACKING}={text}: set {' or '.join(_ADDRESSES[name])}, too")
    return names
