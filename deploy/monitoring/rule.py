"""One alert, and how alerts become a rule file of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import dedent
from typing import Literal

import yaml

from deploy.monitoring.paths import RUNBOOKS_URL


@dataclass(frozen=True)
class Alert:
    """A condition that somebody should know of.

    Every expression keeps the label `project`, so that a federation's alerts can be told from another's.
    """

    name: str
    expression: str
    wait: str
    """For how long the condition must hold (Prometheus' `for`)."""
    severity: Literal["critical", "warning"]
    """critical: jobs stand still or soon will, somebody acts now. warning: somebody acts today."""
    summary: str
    description: str


def rule_file(groups: Iterable[tuple[str, Iterable[Alert]]], runbooks: str = RUNBOOKS_URL) -> str:
    """Groups of alerts as Prometheus reads them.

    Args:
        groups: the name of each group and its alerts.
        runbooks: where the runbooks are; each alert links to `RUNBOOKS/NAME.md` there.
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
    """Lists indented below their key, texts of several lines as they are."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)
