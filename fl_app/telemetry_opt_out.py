"""Opt out of the usage reports that libraries send to their makers."""

from __future__ import annotations

from collections.abc import MutableMapping

OPT_OUT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Each library's own variable, set to disable its reports. Flower's: fl_app.flower.environment."""


def opt_out_of_telemetry(environment: MutableMapping[str, str]) -> None:
    """Disable the reports of this process and its children, except those that the operator has set."""
    for name, value in OPT_OUT.items():
        environment.setdefault(name, value)
