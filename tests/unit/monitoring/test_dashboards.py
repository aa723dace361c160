"""The dashboards: up to date, complete, and with queries for existing metrics."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from deploy.checkout import CHECKOUT
from deploy.monitoring.paths import DASHBOARDS
from fl_app.telemetry.catalogue import JOB_LABELS, JOBS, LABELS, PARENTS, Type
from maintenance.dashboards.frame import UIDS
from tests.unit.monitoring.boards import (
    SELECTOR,
    PanelQuery,
    dashboards,
    panel_queries,
    panels,
    rule_expressions,
)

TITLES = list(UIDS)
SUFFIXES = {Type.HISTOGRAM: ("_bucket", "_sum", "_count")}
KNOWN = {
    spec.full_name + suffix: set(labels) | set(spec.labels) | ({"le"} if suffix == "_bucket" else set())
    for specs, labels in ((PARENTS, LABELS), (JOBS, JOB_LABELS))
    for spec in specs.values()
    for suffix in SUFFIXES.get(spec.type, ("",))
}
"""Metric -> labels in the telemetry catalogue."""
SCRAPED = {"project", "site", "role"}
"""Labels that a scrape adds to the metrics of the process."""


def test_the_committed_files_are_up_to_date() -> None:
    command = [sys.executable, "-m", "maintenance.dashboards", "--check"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("title", TITLES)
def test_every_panel_has_a_description_a_unit_and_thresholds(title: str) -> None:
    for panel in panels(dashboards()[title]):
        name, defaults = panel["title"], panel["fieldConfig"]["defaults"]
        assert name, title
        assert panel["description"].endswith("."), name
        assert defaults["unit"], name
        assert defaults["thresholds"]["steps"][0]["value"] is None, name
        assert panel["datasource"]["uid"] == "${datasource}", name
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"]), name


@pytest.mark.parametrize("title", TITLES)
def test_panels_fill_the_grid_and_do_not_overlap(title: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboards()[title]["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("title", TITLES)
def test_the_queries_use_all_variables(title: str) -> None:
    board = dashboards()[title]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    asked = " ".join(
        [target["expr"] for panel in panels(board) for target in panel["targets"]]
        + [variable["query"]["query"] for variable in variables.values() if variable["type"] == "query"]
    )
    used = set(re.findall(r"\$(\w+)", asked)) - {"__rate_interval", "__range"}
    assert used | {"datasource"} == set(variables)
    assert {"datasource", "project", "site", "job"} <= set(variables)
    for name in ("site", "job"):
        assert variables[name]["multi"] is variables[name]["includeAll"] is True
        assert f'{name}=~"${name}"' in asked


@pytest.mark.parametrize("title", TITLES)
def test_every_dashboard_links_to_the_others_with_its_variables(title: str) -> None:
    links = dashboards()[title]["links"]
    assert {link["url"] for link in links} == {f"/d/{uid}" for other, uid in UIDS.items() if other != title}
    assert all(link["includeVars"] and link["keepTime"] for link in links)


def test_a_site_in_a_table_links_to_its_dashboard() -> None:
    text = (DASHBOARDS / "flarefleet-federation.json").read_text()
    assert "/d/flarefleet-site?var-site=${__data.fields.Site}" in text


EVENTS = [one for one in panel_queries() if "increase(" in one.query]


@pytest.mark.parametrize("asked", EVENTS, ids=lambda asked: asked.by)
def test_a_number_of_events_is_a_whole_number(asked: PanelQuery) -> None:
    assert asked.query.startswith("round(")


@pytest.mark.parametrize("asked", panel_queries(), ids=lambda asked: asked.by)
def test_a_rate_uses_grafanas_window(asked: PanelQuery) -> None:
    windows = re.findall(r"\b(?:rate|increase)\([^\[]*\[([^\]]+)\]", asked.query)
    assert set(windows) <= {"$__rate_interval", "$__range"}


@pytest.mark.parametrize("asked", [*panel_queries(), *rule_expressions()], ids=lambda asked: asked.by)
def test_a_query_uses_existing_metrics_and_labels(asked: PanelQuery) -> None:
    query = asked.query
    metrics = SELECTOR.findall(query)
    assert metrics
    possible: set[str] = set()
    for metric, selector in metrics:
        if metric.startswith("process_") or metric in ("up", "ALERTS"):
            labels = SCRAPED | {"job", "alertstate"}
        else:
            assert metric in KNOWN, f"{metric} is not in fl_app/telemetry/catalogue.py"
            labels = KNOWN[metric]
        assert set(re.findall(r"(\w+)(?==~|=|!=)", selector)) <= labels, metric
        possible |= labels
    for grouped in re.findall(r"\b(?:by|on) \(([^)]*)\)", query):
        assert {label.strip() for label in grouped.split(",")} <= possible | {"release"}, grouped
