"""The geometry of the report's charts; the template draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.demo.report import Report, interval

# Okabe and Ito's colour-blind safe palette, without yellow, which has too little contrast on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES = ("", "7 4", "2 3", "9 3 2 3")
"""From the seventh hospital on, colours repeat with another dash pattern."""
GLOBAL_COLOUR = "#1a1a1a"
ALONE_COLOUR, FEDERATED_COLOUR, CENTRAL_COLOUR = "#8a8f98", "#0072B2", "#E69F00"


@dataclass(frozen=True)
class Style:
    """The style of a line."""

    colour: str
    dash: str = ""
    width: float = 1.8


Tick = tuple[float, str]
"""A mark on an axis: its pixel and its text."""


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    name: str
    style: Style
    points: tuple[tuple[float, float], ...]
    """Pixels."""
    values: tuple[float, ...]


@dataclass(frozen=True)
class Chart:
    """The frame of a chart, in pixels, and the ticks of its horizontal axis."""

    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    across: tuple[Tick, ...]


@dataclass(frozen=True)
class LineChart(Chart):
    """Accuracy over rounds."""

    up: tuple[Tick, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Bar:
    """One bar with its 95 % interval."""

    name: str
    colour: str
    middle: float
    end: float
    low: float
    high: float
    value: float


@dataclass(frozen=True)
class BarChart(Chart):
    """Accuracy of each model on the test patients."""

    thickness: float
    bars: tuple[Bar, ...]
    always_benign: float


def percent(share: float) -> str:
    """Format a share, such as 96.5 %."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def style_of(index: int) -> Style:
    """Return the style of the hospital with this index."""
    return Style(COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)])


def line_chart(report: Report, width: int) -> LineChart:
    """Return the accuracy of each hospital's own model and of the global model over rounds."""
    height = round(min(400, 180 + 0.3 * width))
    left, right, top, bottom = 46.0, width - 12.0, 12.0, height - 44.0
    rounds = report.rounds
    shown = [value for hospital in report.hospitals for value in hospital.own_accuracy]
    lowest = math.floor(min((*shown, *report.global_accuracy)) * 10) / 10

    def across(number: int) -> float:
        return left + (right - left) * number / rounds

    def up(value: float) -> float:
        return bottom - (bottom - top) * (value - lowest) / (1 - lowest or 1)

    def line(name: str, style: Style, values: Sequence[float], first: int) -> Line:
        points = tuple((across(first + index), up(value)) for index, value in enumerate(values))
        return Line(name, style, points, tuple(values))

    own = tuple(
        line(hospital.name, style_of(index), hospital.own_accuracy, first=1)
        for index, hospital in enumerate(report.hospitals)
    )
    together = line("global model", Style(GLOBAL_COLOUR, width=2.8), report.global_accuracy, first=0)
    tenths = range(round(lowest * 10), 11)
    return LineChart(
        width, height, left, right, top, bottom,
        across=tuple((across(number), str(number)) for number in whole_ticks(rounds, width // 60)),
        up=tuple((up(tenth / 10), f"{10 * tenth}") for tenth in tenths),
        lines=(*own, together),
    )  # fmt: skip


def bar_chart(report: Report, width: int) -> BarChart:
    """Return the accuracy of each hospital alone, of the federation, and of central training."""
    rows = [
        (f"{hospital.name} alone", ALONE_COLOUR, hospital.alone.accuracy) for hospital in report.hospitals
    ]
    rows.append(("federated", FEDERATED_COLOUR, report.federated.accuracy))
    rows.append(("central", CENTRAL_COLOUR, report.central.accuracy))
    row_height, top = 30, 26.0
    bottom = top + row_height * len(rows)
    left = 12 + 7.2 * max(len(name) for name, _, _ in rows)
    right = width - 72.0

    def across(value: float) -> float:
        return left + (right - left) * value

    def bar(row: int, name: str, colour: str, value: float) -> Bar:
        low, high = interval(value, report.test_patients)
        middle = top + row_height * (row + 0.5)
        return Bar(name, colour, middle, across(value), across(low), across(high), value)

    step = 20 if width > 500 else 25
    return BarChart(
        width, int(bottom + 44), left, right, top, bottom,
        across=tuple((across(number / 100), str(number)) for number in range(0, 101, step)),
        thickness=row_height * 0.62,
        bars=tuple(bar(row, *parts) for row, parts in enumerate(rows)),
        always_benign=across(report.always_benign),
    )  # fmt: skip


def whole_ticks(last: int, most: int) -> list[int]:
    """Return whole numbers from 0 to `last`, at most about `most`, in steps of 1, 2 or 5 times 10^n."""
    step = next(
        step
        for power in range(10)
        for step in (10**power, 2 * 10**power, 5 * 10**power)
        if last / step <= max(most, 1)
    )
    return list(range(0, last + 1, step))
