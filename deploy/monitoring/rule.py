"""Alerts, and the Prometheus rule file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import dedent
from typing import Literal

import yaml

from deploy.monitoring.paths import RUNBOOKS_URL

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


def rule_file(groups: Iterable[tuple[str, Iterable[Alert]]], runbooks: str = RUNBOOKS_URL) -> str:
    """Return the rule file of groups of alerts.

    Args:
        runbooks: the URL of the runbooks' folder; each alert links to `NAME.md` in it.
    """
    document = {
        "groups": [
            {"name": name, "rules": [_rule(alert, runbooks) for alert in alerts]} for name, alerts in groups
        ]
    }
    return yaml.dump(document, Dumper=_Readable, sort_keys=False, width=110, allow_unicode=True)


def _rule(alert: Alert, runbooks: str) -> dict[str, object]:
    return {
        "alert": alert.name,
        "expr": dedent(alert.expression).strip() + "\n",
        "for": alert.wait,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{runbooks}/{alert.name}.md",
        },
    }


class _Readable(yaml.SafeDumper):
    """Indents lists below their key, and writes multi-line texts as blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)
