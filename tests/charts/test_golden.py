"""The objects that the charts render from the required values alone.

Set UPDATE_GOLDEN=1 to regenerate the files, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.charts.rendering import CHARTS, render

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("chart", CHARTS)
def test_the_defaults_render_the_golden_file(chart: str) -> None:
    file = GOLDEN / f"{chart}.yaml"
    text = render(chart).text
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()
