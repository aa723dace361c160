"""The pictures of dashboards show every panel, and a terminal's recording shows what a reader would see."""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path
from xml.etree import ElementTree

import pytest

from maintenance.pictures.boards import draw
from maintenance.pictures.queries import Answered, Period, Series
from maintenance.pictures.terminal import animated, record
from maintenance.pictures.units import colour, text
from tests.unit.monitoring.boards import dashboards, panels

IMAGES = Path(__file__).parents[3] / "docs" / "images"


@pytest.mark.parametrize("title", dashboards())
def test_a_picture_shows_every_panel_of_its_dashboard(title: str) -> None:
    picture = (IMAGES / f"dashboard-{title.lower()}.svg").read_text(encoding="utf-8")
    names = [panel["title"] for panel in panels(dashboards()[title]) if "repeat" not in panel]

    missing = [name for name in names if f">{escape(name)}<" not in picture]

    assert not missing, "run: python -m maintenance.pictures FOLDER"


@pytest.mark.parametrize("picture", sorted(IMAGES.glob("*.svg")), ids=lambda picture: picture.name)
def test_a_picture_is_valid_svg_with_a_description(picture: Path) -> None:
    root = ElementTree.parse(picture).getroot()

    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("aria-label") or root.find("{http://www.w3.org/2000/svg}title") is not None


def test_a_chart_holds_each_value_in_its_frame() -> None:
    panel = {"type": "timeseries", "title": "CPU", "gridPos": {"x": 0, "y": 0, "w": 8, "h": 8}}
    series = Series("site-1", {}, [(0.0, 0.2), (5.0, float("nan")), (10.0, 0.9)])

    picture = draw("Test", [Answered(panel, [[series]])], Period(0.0, 10.0), "")

    line = ElementTree.fromstring(picture).find(".//{http://www.w3.org/2000/svg}polyline")
    assert line is not None
    points = [tuple(map(float, pair.split(","))) for pair in line.get("points", "").split()]
    assert [x for x, _ in points] == [74.0, 8 * 60 - 6 - 12]
    assert points[0][1] > points[1][1] >= 36


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(90, "s", "1.5 min"), (2048, "bytes", "2 KiB"), (0.5, "percentunit", "50%"), (0.001, "s", "1 ms")],
)
def test_a_value_has_its_unit(value: float, unit: str, shown: str) -> None:
    assert text(value, {"unit": unit}) == shown


def test_a_value_has_the_colour_of_the_last_threshold_below_it() -> None:
    steps = [{"value": None, "color": "red"}, {"value": 1, "color": "green"}]

    assert colour(0, {"thresholds": {"steps": steps}}) != colour(1, {"thresholds": {"steps": steps}})


PROGRAM = """
import time
from rich.console import Console
from rich.live import Live
with Live(console=Console(highlight=False), auto_refresh=False) as live:
    for number in (1, 2):
        live.update(f"[red]round {number}[/red]", refresh=True)
        time.sleep(0.2)
print("done")
"""


def test_a_recording_shows_each_redrawn_screen(tmp_path: Path) -> None:
    screens = record([sys.executable, "-c", PROGRAM], tmp_path, {"TERM": "xterm-256color"})

    picture = animated("submit", "submit", screens)

    assert ">round 1<" in picture
    last = picture[picture.index('class="last"') :]
    assert ">round 2<" in last
    assert ">round 1<" not in last
    assert ">done<" in last


def test_a_command_that_fails_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        record([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, {})
