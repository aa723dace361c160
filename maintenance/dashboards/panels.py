"""Panels in one house style: every one has a title, a description, a unit and thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    prometheus,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.builders import (
    common as common_builders,
)
from grafana_foundation_sdk.builders import (
    dashboard as builders,
)
from grafana_foundation_sdk.builders import (
    stat as stat_builders,
)
from grafana_foundation_sdk.builders import (
    table as table_builders,
)
from grafana_foundation_sdk.models import common, dashboard, units
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, ORANGE, RED, BLUE = "green", "orange", "red", "blue"

Steps = Sequence[tuple[float | None, str]]
"""From which value on which colour; the first has no value."""
PLAIN: Steps = ((None, GREEN),)
"""A quantity that is neither good nor bad."""
NONE_IS_GOOD: Steps = ((None, GREEN), (1, RED))
ONE_IS_GOOD: Steps = ((None, RED), (1, GREEN))
DAY = 86400.0
EXPIRY: Steps = ((None, RED), (7 * DAY, ORANGE), (30 * DAY, GREEN))

_Panel = TypeVar(
    "_Panel",
    stat_builders.Panel,
    timeseries.Panel,
    bargauge.Panel,
    statetimeline.Panel,
    table_builders.Panel,
)


@dataclass(frozen=True)
class Query:
    """What a panel asks Prometheus.

    `legend` names each series by its labels, or the column of a table.
    """

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Shown:
    """How the values of a column or a stat are shown."""

    unit: str = units.Short
    steps: Steps = PLAIN
    words: Mapping[int, str] | None = None
    """Words for values: 1 -> ready."""


def stat(
    title: str, description: str, query: Query, shown: Shown, *, span: int = 4, empty: str = "none"
) -> stat_builders.Panel:
    """One number, now.

    Args:
        title: what it is.
        description: what it tells, and when to worry.
        query: the number.
        shown: its unit and colours.
        span: columns of 24.
        empty: the text where there is nothing.
    """
    panel = _dressed(stat_builders.Panel(), title, description, shown, span=span, height=4)
    return (
        panel.with_target(_target(query, 0, instant=True))
        .no_value(empty)
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def lines(
    title: str,
    description: str,
    *queries: Query,
    shown: Shown,
    span: int = 12,
    stacked: bool = False,
    repeat: str = "",
) -> timeseries.Panel:
    """Values over time; a threshold that warns is drawn as a line."""
    panel = _dressed(timeseries.Panel(), title, description, shown, span=span, height=8)
    for number, query in enumerate(queries):
        panel.with_target(_target(query, number))
    legend = common_builders.VizLegendOptions().show_legend(True).calcs(["lastNotNull", "max"])
    panel.legend(legend.display_mode(common.LegendDisplayMode.TABLE).placement(common.LegendPlacement.BOTTOM))
    panel.tooltip(
        common_builders.VizTooltipOptions()
        .mode(common.TooltipDisplayMode.MULTI)
        .sort(common.SortOrder.DESCENDING)
    )
    panel.fill_opacity(30 if stacked else 8).show_points(common.VisibilityMode.AUTO).span_nulls(False)
    panel.color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC))
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if len(shown.steps) > 1:
        panel.thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED)
        )
    return panel.repeat(repeat).repeat_direction("h") if repeat else panel


def bars(title: str, description: str, query: Query, shown: Shown, *, span: int = 12) -> bargauge.Panel:
    """One bar a series, now."""
    panel = _dressed(bargauge.Panel(), title, description, shown, span=span, height=8)
    return (
        panel.with_target(_target(query, 0, instant=True))
        .min(0)
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def timeline(
    title: str, description: str, query: Query, shown: Shown, *, span: int = 12
) -> statetimeline.Panel:
    """When each series was in which state."""
    panel = _dressed(statetimeline.Panel(), title, description, shown, span=span, height=8)
    return panel.with_target(_target(query, 0)).show_value(common.VisibilityMode.NEVER).merge_values(True)


def table(
    title: str,
    description: str,
    label: tuple[str, str],
    columns: Sequence[tuple[Query, Shown]],
    *,
    link: builders.DashboardLink | None = None,
    span: int = 24,
) -> table_builders.Panel:
    """One row a value of a label, one column a query; every query keeps that label alone.

    Args:
        title: what it is.
        description: what it tells.
        label: the label, and how its column is called.
        columns: the queries; a query's legend is its column's title.
        link: where a click on the label leads.
        span: columns of 24.
    """
    panel = _dressed(table_builders.Panel(), title, description, Shown(), span=span, height=9)
    names: dict[str, str] = {label[0]: label[1]}
    for number, (query, shown) in enumerate(columns):
        panel.with_target(_target(query, number, instant=True, table=True))
        names[_value_column(number, len(columns))] = query.legend
        panel.override_by_name(query.legend, _column(shown))
    if link is not None:
        panel.override_by_name(label[1], [dashboard.DynamicConfigValue("links", [link.build()])])
    panel.with_transformation(dashboard.DataTransformerConfig("merge", options={}))
    organized = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": names}
    return panel.with_transformation(dashboard.DataTransformerConfig("organize", options=organized))


def row(title: str) -> builders.Row:
    """A heading for the panels below it."""
    return builders.Row(title)


def _dressed(panel: _Panel, title: str, description: str, shown: Shown, *, span: int, height: int) -> _Panel:
    panel.title(title).description(description).datasource(DATASOURCE).span(span).height(height)
    panel.unit(shown.unit).thresholds(_thresholds(shown.steps))
    panel.color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    if shown.words:
        panel.mappings([_words(shown)])
    return panel


def _thresholds(steps: Steps) -> builders.ThresholdsConfig:
    made = [dashboard.Threshold(value=value, color=color) for value, color in steps]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(made)


def _words(shown: Shown) -> dashboard.ValueMap:
    return dashboard.ValueMap(
        {
            str(value): dashboard.ValueMappingResult(text=text, color=_color(value, shown.steps), index=index)
            for index, (value, text) in enumerate((shown.words or {}).items())
        }
    )


def _color(value: float, steps: Steps) -> str:
    return [color for start, color in steps if start is None or value >= start][-1]


def _column(shown: Shown) -> list[dashboard.DynamicConfigValue]:
    properties = [
        dashboard.DynamicConfigValue("unit", shown.unit),
        dashboard.DynamicConfigValue("thresholds", _thresholds(shown.steps).build()),
        dashboard.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
    ]
    if shown.words:
        properties.append(dashboard.DynamicConfigValue("mappings", [_words(shown)]))
    return properties


def _value_column(number: int, of: int) -> str:
    """How Grafana calls the value of one of several queries of a table."""
    return "Value" if of == 1 else f"Value #{chr(ord('A') + number)}"


def _target(query: Query, number: int, *, instant: bool = False, table: bool = False) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).ref_id(chr(ord("A") + number))
    target.datasource(DATASOURCE).legend_format(query.legend or "__auto")
    if table:
        target.format(PromQueryFormat.TABLE)
    return target.instant() if instant else target.range()
