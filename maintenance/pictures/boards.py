"""Draw an answered dashboard as SVG, in the layout of Grafana: 24 columns, rows of 30 pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from maintenance.pictures.queries import Answered, Period, Series
from maintenance.pictures.units import colour, text

WIDTH, COLUMN, ROW, GAP = 1440, 60, 30, 6
PALETTE = ("#1f77b4", "#d9730d", "#2e7d32", "#a3378f", "#00838f", "#b8860b", "#6d4c41", "#c2185b")
LEGEND_ROWS = 2
LEGEND_LENGTH = 30
"""Letters of a name in a legend."""


@dataclass(frozen=True)
class Line:
    """One series of a chart."""

    name: str
    colour: str
    points: str
    """Of an SVG polyline."""
    area: str = ""
    """Of an SVG polygon below the line of a stacked chart."""


@dataclass(frozen=True)
class Frame:
    """The inner rectangle of a chart in pixels, and its axes."""

    left: float
    top: float
    right: float
    bottom: float
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]


def draw(title: str, panels: Sequence[Answered], period: Period, caption: str) -> str:
    """Return the SVG of a dashboard."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = [_panel(one, period) for one in panels]
    height = 70 + max(one["y"] + one["height"] for one in drawn)
    return environment.get_template("board.svg.j2").render(
        title=title, caption=caption, width=WIDTH, height=height, panels=drawn
    )


def _panel(answered: Answered, period: Period) -> dict[str, Any]:
    panel = answered.panel
    place = panel["gridPos"]
    width, height = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
    drawn = {
        "type": panel["type"],
        "title": panel["title"],
        "x": place["x"] * COLUMN + GAP / 2,
        "y": place["y"] * ROW,
        "width": width,
        "height": height,
    }
    make = {
        "stat": _stat,
        "table": _table,
        "bargauge": _bars,
        "timeseries": _chart,
        "state-timeline": _timeline,
    }
    if panel["type"] in make:
        drawn |= make[panel["type"]](answered, width, height, period)
    return drawn


def _defaults(answered: Answered) -> dict[str, Any]:
    return dict(answered.panel.get("fieldConfig", {}).get("defaults", {}))


def _stat(answered: Answered, width: float, height: float, period: Period) -> dict[str, Any]:
    defaults = _defaults(answered)
    last = [one.points[-1][1] for one in answered.series if one.points]
    if not last:
        return {"value": defaults.get("noValue", "No data"), "colour": "#64748b"}
    return {"value": text(last[0], defaults), "colour": colour(last[0], defaults)}


def _bars(answered: Answered, width: float, height: float, period: Period) -> dict[str, Any]:
    defaults = _defaults(answered)
    series = [one for one in answered.series if one.points][:6]
    largest = max([1.0 if defaults.get("unit") == "percentunit" else 0.0, *(s.points[-1][1] for s in series)])
    step = (height - 40) / max(len(series), 1)
    bars = [
        {
            "name": one.name,
            "value": text(one.points[-1][1], defaults),
            "y": 34 + number * step,
            "height": min(step - 8, 26),
            "width": (width - 230) * one.points[-1][1] / (largest or 1),
            "colour": colour(one.points[-1][1], defaults),
        }
        for number, one in enumerate(series)
    ]
    return {"bars": bars}


def _table(answered: Answered, width: float, height: float, period: Period) -> dict[str, Any]:
    panel = answered.panel
    names = next(
        one["options"]["renameByName"] for one in panel["transformations"] if one["id"] == "organize"
    )
    label, *_ = (name for name in names if not name.startswith("Value"))
    overrides = {one["matcher"]["options"]: _properties(one) for one in panel["fieldConfig"]["overrides"]}
    columns = [title for name, title in names.items() if name.startswith("Value")]
    rows: dict[str, dict[str, tuple[str, str]]] = {}
    for title, query in zip(columns, answered.queries, strict=True):
        defaults = {**_defaults(answered), **overrides.get(title, {})}
        for one in query:
            value = one.points[-1][1]
            cell = (text(value, defaults), colour(value, defaults))
            rows.setdefault(one.labels.get(label, ""), {})[title] = cell
    empty = ("", "#334155")
    cells = [
        [(name, "#1d4ed8"), *(row.get(title, empty) for title in columns)]
        for name, row in sorted(rows.items())
    ]
    shown = int((height - 66) / 26)
    return {"header": [names[label], *columns], "rows": cells[:shown], "step": width / (1 + len(columns))}


def _properties(override: dict[str, Any]) -> dict[str, Any]:
    return {one["id"]: one["value"] for one in override["properties"]}


def _chart(answered: Answered, width: float, height: float, period: Period) -> dict[str, Any]:
    defaults = _defaults(answered)
    series = [one for one in answered.series if one.points]
    if not series:
        return {"empty": True}
    if "stacking" in defaults.get("custom", {}):
        series = _stacked(series)
    frame = _frame(series, defaults, width, height, period)
    lines, floor = [], [(at, 0.0) for at, _ in series[0].points]
    for number, one in enumerate(series):
        points = _pixels(one.points, series, frame, period)
        area = ""
        if "stacking" in defaults.get("custom", {}):
            area = f"{points} {_pixels(floor[::-1], series, frame, period)}"
            floor = one.points
        lines.append(Line(one.name[:LEGEND_LENGTH], PALETTE[number % len(PALETTE)], points, area))
    return {"frame": frame, "lines": lines, "legend": _legend(lines, width, height)}


def _stacked(series: list[Series]) -> list[Series]:
    """Return the series, each on top of those before it."""
    times = sorted({at for one in series for at, _ in one.points})
    total = dict.fromkeys(times, 0.0)
    made = []
    for one in series:
        values = dict(one.points)
        total = {at: before + values.get(at, 0.0) for at, before in total.items()}
        made.append(Series(one.name, one.labels, list(total.items())))
    return made


def _range(series: Sequence[Series]) -> tuple[float, float]:
    """Return the ends of the vertical axis: multiples of a quarter that is a round number."""
    values = [value for one in series for _, value in one.points if math.isfinite(value)] or [0.0]
    low, high = min(0.0, *values), max(values)
    if (smallest := min(values)) > high * 0.75 and smallest < high:
        low = smallest
    step = _round_up((high - low) / 4 or 0.25)
    low = math.floor(low / step) * step
    while low + 4 * step < high:
        step = _round_up(step * 1.01)
        low = math.floor(low / step) * step
    return low, low + 4 * step


def _round_up(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * 0.999)


def _frame(
    series: Sequence[Series], defaults: dict[str, Any], width: float, height: float, period: Period
) -> Frame:
    low, high = _range(series)
    left, top, right, bottom = 74.0, 36.0, width - 12, height - 56
    up = [
        (bottom - (bottom - top) * part / 4, text(low + (high - low) * part / 4, defaults))
        for part in range(5)
    ]
    across = [
        (left + (right - left) * part / 4, _clock(period.start + (period.end - period.start) * part / 4))
        for part in range(5)
    ]
    return Frame(left, top, right, bottom, across, up)


def _pixels(
    points: Sequence[tuple[float, float]], series: Sequence[Series], frame: Frame, period: Period
) -> str:
    low, high = _range(series)
    span = period.end - period.start
    return " ".join(
        f"{frame.left + (frame.right - frame.left) * (at - period.start) / span:.1f},"
        f"{frame.bottom - (frame.bottom - frame.top) * (value - low) / (high - low):.1f}"
        for at, value in points
        if math.isfinite(value)
    )


def _legend(lines: Sequence[Line], width: float, height: float) -> list[tuple[float, float, Line]]:
    """Return the place of each name below a chart, as many as fit."""
    placed, x, row = [], 12.0, 0
    for line in lines:
        wide = 30 + sum(8.6 if letter.isupper() else 6.6 for letter in line.name)
        if x + wide > width and x > 12:
            x, row = 12.0, row + 1
        if row < LEGEND_ROWS:
            placed.append((x, height - 22 + 15 * row, line))
        x += wide
    return placed


def _timeline(answered: Answered, width: float, height: float, period: Period) -> dict[str, Any]:
    defaults = _defaults(answered)
    series = [one for one in answered.series if one.points]
    left, right, step = 110.0, width - 12, (height - 70) / max(len(series), 1)
    scale = (right - left) / (period.end - period.start)
    rows = []
    for number, one in enumerate(series):
        spans: list[tuple[float, float, str]] = []
        for (at, value), (then, _) in zip(one.points, [*one.points[1:], (period.end, 0.0)], strict=True):
            x, wide, shown = left + scale * (at - period.start), scale * (then - at), colour(value, defaults)
            if spans and spans[-1][2] == shown:
                x, before, _ = spans.pop()
                wide += before
            spans.append((x, wide, shown))
        rows.append((34 + number * step, min(step - 6, 34), one.name, spans))
    frame = Frame(left, 34, right, height - 40, (), ())
    across = [
        (left + (right - left) * part / 4, _clock(period.start + (period.end - period.start) * part / 4))
        for part in range(5)
    ]
    return {"timeline": rows, "across": across, "frame": frame}


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%H:%M:%S")
