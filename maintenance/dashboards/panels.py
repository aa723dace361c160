"""Panels in a consistent style: each has a title, a description, a unit and thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, prometheus, statetimeline, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import stat as stat_builders
from grafana_foundation_sdk.builders import table as table_builders
from grafana_foundation_sdk.models import common, dashboard, units
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, ORANGE, RED, BLUE = "green", "orange", "red", "blue"

Steps = Sequence[tuple[float | None, str]]
"""(first value, colour); the first entry has no value."""
NEUTRAL: Steps = ((None, GREEN),)
NONE_IS_GOOD: Steps = ((None, GREEN), (1, RED))
ONE_IS_GOOD: Steps = ((None, RED), (1, GREEN))
DAY = 86400.0
EXPIRY: Steps = ((None, RED), (7 * DAY, ORANGE), (30 * DAY, GREEN))

_Panel = TypeVar(
    "_Panel", stat_builders.Panel, timeseries.Panel, bargauge.Panel, statetimeline.Panel, table_builders.Panel
)


@dataclass(frozen=True)
class Query:
    """A query to Prometheus; `legend` is the name of each series, or of the column of a table."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Format:
    """The unit, the colours and the texts of values."""

    unit: str = units.Short
    steps: Steps = NEUTRAL
    texts: Mapping[int, str] | None = None
    """Value -> text, such as 1 -> ready."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str
    expression: str
    display: Format = Format()


READY = Format(units.NoUnit, ONE_IS_GOOD, {1: "ready", 0: "not ready"})
CONTACT_AGE = Format(units.Seconds, ((None, GREEN), (35, ORANGE), (300, RED)))
"""Orange after three missed heartbeats of 10 s; the alert fires after 5 minutes."""
FREE_SHARE = Format(units.PercentUnit, ((None, RED), (0.1, ORANGE), (0.2, GREEN)))
"""Red if the alert WorkspaceFilling fires."""


def stat(
    title: str,
    description: str,
    query: Query,
    display: Format = Format(),
    *,
    span: int = 4,
    empty: str = "none",
) -> stat_builders.Panel:
    """Return a panel with one current number.

    Args:
        span: width in columns of 24.
        empty: the text if there is no value.
    """
    panel = _styled(stat_builders.Panel(), title, description, display, span=span, height=4)
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
    display: Format = Format(),
    span: int = 12,
    stacked: bool = False,
    repeat: str = "",
) -> timeseries.Panel:
    """Return a panel with values over time and lines at the thresholds."""
    panel = _styled(timeseries.Panel(), title, description, display, span=span, height=8)
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
    if len(display.steps) > 1:
        panel.thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED)
        )
    return panel.repeat(repeat).repeat_direction("h") if repeat else panel


def bars(
    title: str, description: str, query: Query, display: Format = Format(), *, span: int = 12
) -> bargauge.Panel:
    """Return a panel with one bar per series."""
    panel = _styled(bargauge.Panel(), title, description, display, span=span, height=8)
    return (
        panel.with_target(_target(query, 0, instant=True))
        .min(0)
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def timeline(
    title: str, description: str, query: Query, display: Format, *, span: int = 12
) -> statetimeline.Panel:
    """Return a panel with the states of each series over time."""
    panel = _styled(statetimeline.Panel(), title, description, display, span=span, height=8)
    return panel.with_target(_target(query, 0)).show_value(common.VisibilityMode.NEVER).merge_values(True)


def table(
    title: str,
    description: str,
    label: tuple[str, str],
    columns: Sequence[Column],
    *,
    link: builders.DashboardLink | None = None,
    span: int = 24,
) -> table_builders.Panel:
    """Return a table with one row per value of a label and one column per query.

    Args:
        label: the label, and the title of its column; the queries must aggregate by it.
    """
    panel = _styled(table_builders.Panel(), title, description, Format(), span=span, height=9)
    names: dict[str, str] = {label[0]: label[1]}
    for number, column in enumerate(columns):
        query = Query(column.expression, column.title)
        panel.with_target(_target(query, number, instant=True, table=True))
        # Grafana's name for the values of a query in a table
        value = "Value" if len(columns) == 1 else f"Value #{chr(ord('A') + number)}"
        names[value] = column.title
        panel.override_by_name(column.title, _column(column.display))
    if link is not None:
        panel.override_by_name(label[1], [dashboard.DynamicConfigValue("links", [link.build()])])
    panel.with_transformation(dashboard.DataTransformerConfig("merge", options={}))
    organized = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": names}
    return panel.with_transformation(dashboard.DataTransformerConfig("organize", options=organized))


def _styled(
    panel: _Panel, title: str, description: str, display: Format, *, span: int, height: int
) -> _Panel:
    panel.title(title).description(description).datasource(DATASOURCE).span(span).height(height)
    panel.unit(display.unit).thresholds(_thresholds(display.steps))
    panel.color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    if display.texts:
        panel.mappings([_texts(display)])
    return panel


def _thresholds(steps: Steps) -> builders.ThresholdsConfig:
    made = [dashboard.Threshold(value=value, color=color) for value, color in steps]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(made)


def _texts(display: Format) -> dashboard.ValueMap:
    return dashboard.ValueMap(
        {
            str(value): dashboard.ValueMappingResult(
                text=text, color=_color(value, display.steps), index=index
            )
            for index, (value, text) in enumerate((display.texts or {}).items())
        }
    )


def _color(value: float, steps: Steps) -> str:
    return [color for start, color in steps if start is None or value >= start][-1]


def _column(display: Format) -> list[dashboard.DynamicConfigValue]:
    properties = [
        dashboard.DynamicConfigValue("unit", display.unit),
        dashboard.DynamicConfigValue("thresholds", _thresholds(display.steps).build()),
        dashboard.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
    ]
    if display.texts:
        properties.append(dashboard.DynamicConfigValue("mappings", [_texts(display)]))
    return properties


def _target(query: Query, number: int, *, instant: bool = False, table: bool = False) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).ref_id(chr(ord("A") + number))
    target.datasource(DATASOURCE).legend_format(query.legend or "__auto")
    if table:
        target.format(PromQueryFormat.TABLE)
    return target.instant() if instant else target.range()
