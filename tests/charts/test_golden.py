"""What the charts install with nothing but what must be given.

UPDATE_GOLDEN=1 writes the files anew: read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.charts.rendering import CHARTS, render

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("chart", CHARTS)
def test_the_defaults_install_what_they_did_before(chart: str) -> None:
    file = GOLDEN / f"{chart}.yaml"
    text = render(chart).text
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()
