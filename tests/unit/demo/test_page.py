"""The HTML page of the report, also as a browser renders it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from deploy.demo.charts import percent
from deploy.demo.page import render_page
from deploy.demo.report import Report, interval
from fl_app.jobs.hospital.job import HospitalParameters
from tests.unit.demo.chromium import PROGRAM, Page, chromium
from tests.unit.demo.conftest import make_report

pytestmark = pytest.mark.xdist_group("demo-page")  # one browser and one trained report
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="no Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@needs_chromium
@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_shows_the_results_without_network_requests(
    tmp_path: Path, report: Report, browser: Page, width: int
) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_page(report), encoding="utf-8")

    browser.open(file, width)

    bars = dict(browser.value(_SHOWN_BARS))
    lines = {name: [float(value) for value in values.split()] for name, values in browser.value(_SHOWN_LINES)}
    text = browser.value("document.body.innerText")
    assert browser.problems == []
    assert {url for url in browser.requests if not url.startswith("data:")} == {file.as_uri()}
    assert bars == {
        **{f"{hospital.name} alone": hospital.alone.accuracy for hospital in report.hospitals},
        "federated": report.federated.accuracy,
        "central": report.central.accuracy,
    }
    assert lines == {
        **{hospital.name: list(hospital.own_accuracy) for hospital in report.hospitals},
        "global model": list(report.global_accuracy),
    }
    for accuracy in (report.mean_alone, report.federated.accuracy, report.central.accuracy):
        assert percent(accuracy) in text
    assert browser.value(_OVERFLOW) == 0
    assert browser.value(_CUT_TABLES) == 0
    assert browser.value(_SMALLEST_CHART_TEXT) >= 10


def test_the_page_has_no_external_content(report: Report) -> None:
    html = render_page(report)

    assert "http://" not in html
    assert "https://" not in html
    assert "<script" not in html
    assert "default-src 'none'" in html


def test_text_of_the_run_is_escaped(report: Report) -> None:
    evil = report.model_copy(update={"project": "<img src=x onerror=alert(1)>", "job_id": '"><b>'})

    html = render_page(evil)

    assert "<img" not in html
    assert '"><b>' not in html
    assert "a server &amp; &lt;4&gt; hospitals" in html


def test_the_length_of_a_bar_is_its_value(report: Report) -> None:
    for chart in _charts(render_page(report)):
        for bar in (group for group in chart.iter("g") if "data-value" in group.attrib):
            drawn = bar.find("rect")
            assert drawn is not None
            start, length = float(drawn.attrib["x"]), float(drawn.attrib["width"])

            assert length / (_label_at(chart, "100", "x") - start) == pytest.approx(
                float(bar.attrib["data-value"]), abs=0.002
            )


def test_the_height_of_a_point_is_its_value(report: Report) -> None:
    for chart in _charts(render_page(report)):
        for line in chart.iter("polyline"):
            heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
            values = [float(value) for value in line.attrib["data-values"].split()]
            of_100, of_90 = (_label_at(chart, label, "y") - 4 for label in ("100", "90"))

            expected = [of_100 + (1 - value) * 10 * (of_90 - of_100) for value in values]

            assert heights == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(("hospitals", "rounds"), [(2, 1), (7, 2), (30, 1)])
def test_any_number_of_hospitals_and_rounds_can_be_drawn(tmp_path: Path, hospitals: int, rounds: int) -> None:
    report = make_report(tmp_path, HospitalParameters(rounds=rounds), hospitals)

    charts = _charts(render_page(report))

    for chart in charts:
        width, height = (float(number) for number in chart.attrib["viewBox"].split()[2:])
        for line in chart.iter("polyline"):
            for point in line.attrib["points"].split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height
    lines = [line.attrib["data-name"] for line in charts[-1].iter("polyline")]
    styles = {
        (line.attrib["stroke"], line.attrib["stroke-dasharray"]) for line in charts[-1].iter("polyline")
    }
    assert len(lines) == hospitals + 1
    assert len(styles) == min(hospitals, 24) + 1


@pytest.mark.parametrize(("right", "patients"), [(0, 143), (77, 143), (142, 143), (143, 143), (1, 2)])
def test_an_interval_contains_its_accuracy_and_is_within_0_and_1(right: int, patients: int) -> None:
    low, high = interval(right / patients, patients)

    assert 0 <= low <= right / patients <= high <= 1
    assert high - low > 0


def test_an_interval_is_that_of_wilson() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    low, high = interval(81 / 263, 263)

    assert math.isclose(low, 0.2553, abs_tol=5e-5)
    assert math.isclose(high, 0.3662, abs_tol=5e-5)


_VISIBLE = "[...document.querySelectorAll('svg')].filter(svg => svg.getBoundingClientRect().width > 0)"
_SHOWN_BARS = f"""{_VISIBLE}.flatMap(svg => [...svg.querySelectorAll('g[data-name]')])
  .map(bar => [bar.dataset.name, Number(bar.dataset.value)])"""
_SHOWN_LINES = f"""{_VISIBLE}.flatMap(svg => [...svg.querySelectorAll('polyline')])
  .map(line => [line.dataset.name, line.dataset.values])"""
_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_CUT_TABLES = """[...document.querySelectorAll('.wide-table')]
  .filter(box => box.scrollWidth > box.clientWidth).length"""
_SMALLEST_CHART_TEXT = f"""Math.min(...{_VISIBLE}.flatMap(svg => {{
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return [...svg.querySelectorAll('text')].map(text => parseFloat(getComputedStyle(text).fontSize) * scale);
}}))"""


def _charts(html: str) -> list[ElementTree.Element]:
    drawn = re.findall(r'<svg class="(?:wide|narrow)".*?</svg>', html, flags=re.DOTALL)
    assert len(drawn) == 4
    return [ElementTree.fromstring(svg) for svg in drawn]


def _label_at(chart: ElementTree.Element, label: str, axis: str) -> float:
    return next(float(text.attrib[axis]) for text in chart.iter("text") if text.text == label)
