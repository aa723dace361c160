"""The committed dashboards, and the queries in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from deploy.monitoring.paths import DASHBOARDS, RULES

SELECTOR = re.compile(r"\b((?:nvflare|process)_\w+|up|ALERTS)\b(\{[^}]*\})?")
"""A metric and its labels. No metric has the name of a function or label."""


@dataclass(frozen=True)
class PanelQuery:
    """A query to Prometheus, and the panel, alert or variable that it belongs to."""

    by: str
    query: str


def dashboards() -> dict[str, dict[str, Any]]:
    found = (json.loads(file.read_text()) for file in sorted(DASHBOARDS.glob("*.json")))
    return {board["title"].removeprefix("Flarefleet / "): board for board in found}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def panel_queries() -> list[PanelQuery]:
    return [
        PanelQuery(f"{title} / {panel['title']} / {target['refId']}", target["expr"])
        for title, board in dashboards().items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def rule_expressions() -> list[PanelQuery]:
    document = yaml.safe_load((RULES / "flarefleet.yaml").read_text())
    return [
        PanelQuery(f"alert {rule['alert']} ({rule['labels']['severity']})", rule["expr"])
        for group in document["groups"]
        for rule in group["rules"]
    ]


def rule_selectors() -> list[PanelQuery]:
    """Return the selectors in the alerts; the expressions themselves are empty while no alert fires."""
    return sorted(
        {
            PanelQuery(rule.by, metric + labels)
            for rule in rule_expressions()
            for metric, labels in SELECTOR.findall(rule.query)
        },
        key=lambda query: (query.by, query.query),
    )


def as_grafana_asks(query: str, project: str, window: str = "10s", span: str = "10m") -> str:
    """Return a query with its variables replaced: one federation, and All for the others."""
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
    """Return (variable, series, label) of all variables with values from Prometheus."""
    for title, board in dashboards().items():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
                assert found is not None, variable
                yield f"{title} / variable {variable['name']}", found[1], found[2]
