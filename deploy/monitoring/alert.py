"""An alert of Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning"]
"""critical: jobs are blocked or will be soon, act now. warning: act today."""


@dataclass(frozen=True)
class Alert:
    """An alert; the result of its expression has the label `project`."""

    name: str
    expression: str
    wait: str
    """Time for which the condition must hold before the alert fires (`for` in Prometheus)."""
    severity: Severity
    summary: str
    description: str
