"""Render the report as one self-contained HTML page."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from deploy.demo.charts import bar_chart, line_chart, percent
from deploy.demo.report import Report, difference, interval

WIDE, NARROW = 860, 360
"""Widths in pixels of the two drawings of each chart; the page shows the one that fits the screen."""


def render_page(report: Report) -> str:
    """Return the report as HTML."""
    templates = Environment(
        loader=PackageLoader("deploy.demo"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["percent"] = percent
    alone = [hospital.alone.accuracy for hospital in report.hospitals]
    return templates.get_template("report.html.j2").render(
        report=report,
        bar_charts=[("wide", bar_chart(report, WIDE)), ("narrow", bar_chart(report, NARROW))],
        line_charts=[("wide", line_chart(report, WIDE)), ("narrow", line_chart(report, NARROW))],
        worst_alone=min(alone),
        best_alone=max(alone),
        difference=difference,
        interval=interval,
    )
