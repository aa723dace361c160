"""The dashboards as Grafana reads them, and every query in them, ready for a Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from deploy.monitoring.paths import DASHBOARDS, RULES

SELECTOR = re.compile(r"\b((?:nvflare|process)_\w+|up|ALERTS)\b(\{[^}]*\})?")
"""A metric and its labels. No metric's name is a function's or a label's."""


@dataclass(frozen=True)
class Asked:
    """One question to Prometheus, and who asks it."""

    by: str
    query: str


def dashboards() -> dict[str, dict[str, Any]]:
    """Title -> the dashboard, from the committed files."""
    found = (json.loads(file.read_text()) for file in sorted(DASHBOARDS.glob("*.json")))
    return {board["title"].removeprefix("Flarefleet / "): board for board in found}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Every panel that shows something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def panel_queries() -> list[Asked]:
    """Every query of every panel, as written."""
    return [
        Asked(f"{title} / {panel['title']} / {target['refId']}", target["expr"])
        for title, board in dashboards().items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def rule_expressions() -> list[Asked]:
    """Every condition of an alert, as written."""
    document = yaml.safe_load((RULES / "flarefleet.yaml").read_text())
    return [
        Asked(f"alert {rule['alert']} ({rule['labels']['severity']})", rule["expr"])
        for group in document["groups"]
        for rule in group["rules"]
    ]


def rule_selectors() -> list[Asked]:
    """What the alerts look at: a condition itself is empty while all is well."""
    return sorted(
        {
            Asked(rule.by, metric + labels)
            for rule in rule_expressions()
            for metric, labels in SELECTOR.findall(rule.query)
        },
        key=lambda asked: (asked.by, asked.query),
    )


def as_grafana_asks(query: str, project: str, window: str = "10s", span: str = "10m") -> str:
    """A query with its variables replaced: one federation, and All of everything else."""
    values = {
        "__rate_interval": window,
        "__range": span,
        "project": project,
        "site": ".+",
        "job": ".+",
        "tag": ".+",
    }
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], query)


def variable_queries() -> Iterator[tuple[str, str, str]]:
    """(who asks, the series, the label) of every variable that is filled from Prometheus."""
    for title, board in dashboards().items():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
                assert found is not None, variable
                yield f"{title} / variable {variable['name']}", found[1], found[2]
