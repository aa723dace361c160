"""Ask Prometheus what the panels of a dashboard ask, with the variables that a reader would choose."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

RATE_INTERVAL = "20s"
STEP_SECONDS = 2


@dataclass(frozen=True)
class Period:
    """A time range, in seconds since the epoch."""

    start: float
    end: float


@dataclass(frozen=True)
class Series:
    """The values of one series: (seconds since the epoch, value)."""

    name: str
    labels: Mapping[str, str]
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Answered:
    """A panel and the series of each of its queries, in their order."""

    panel: dict[str, Any]
    queries: list[list[Series]]

    @property
    def series(self) -> list[Series]:
        """All series of the panel."""
        return [one for query in self.queries for one in query]


def answered(board: dict[str, Any], url: str, project: str, period: Period) -> list[Answered]:
    """Return each panel of a dashboard with what Prometheus answers; a repeated panel once for each value."""
    values = {
        "project": project,
        "site": ".+",
        "job": ".+",
        "tag": ".+",
        "__rate_interval": RATE_INTERVAL,
        "__range": f"{period.end - period.start:.0f}s",
    }
    return [
        Answered(panel, [_series(target, url, chosen, period) for target in panel.get("targets", [])])
        for original in board["panels"]
        for panel, chosen in _repeated(original, values, url, period)
    ]


def _repeated(
    panel: dict[str, Any], values: dict[str, str], url: str, period: Period
) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    name = panel.get("repeat")
    if not name:
        yield panel, values
        return
    match = _filled(f'nvflare_training_metric{{project="{values["project"]}"}}', values)
    found = _get(url, f"label/{name}/values", {"match[]": match, "start": period.start, "end": period.end})
    for number, value in enumerate(found[:2]):
        place = {**panel["gridPos"], "x": number * panel["gridPos"]["w"]}
        title = panel["title"].replace(f"${name}", value)
        yield {**panel, "title": title, "gridPos": place}, {**values, name: value}


def _series(target: dict[str, Any], url: str, values: Mapping[str, str], period: Period) -> list[Series]:
    query = _filled(target["expr"], values)
    if target.get("instant"):
        answer = _get(url, "query", {"query": query, "time": period.end})["result"]
        found = [(one["metric"], [one["value"]]) for one in answer]
    else:
        window = {"start": period.start, "end": period.end, "step": STEP_SECONDS}
        answer = _get(url, "query_range", {"query": query, **window})["result"]
        found = [(one["metric"], one["values"]) for one in answer]
    return [
        Series(_legend(target, labels), labels, [(float(at), float(value)) for at, value in points])
        for labels, points in found
    ]


def _legend(target: dict[str, Any], labels: Mapping[str, str]) -> str:
    legend = target.get("legendFormat", "__auto")
    if legend == "__auto":
        return ", ".join(labels.values())
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend)


def _filled(query: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], query)


def _get(url: str, path: str, parameters: Mapping[str, object]) -> Any:
    address = f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(address) as answer:  # noqa: S310 - http
        return json.load(answer)["data"]
