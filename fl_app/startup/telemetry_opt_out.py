"""What libraries would tell their makers of a hospital's machine, and do not unless somebody asks for it."""

from __future__ import annotations

from collections.abc import MutableMapping

REPORTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Each library's own variable, with the value that keeps it quiet. Flower's: fl_app.flower.environment."""


def report_nothing(environment: MutableMapping[str, str]) -> None:
    """Keep libraries quiet that are loaded later, here and in processes started from here."""
    for name, value in REPORTS.items():
        environment.setdefault(name, value)
