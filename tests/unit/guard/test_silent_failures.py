"""The table of silent failures is complete, and the tests in other files to which it refers exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fl_app.contract import NVFLARE_VERSION
from tests.federation.failure_rows import OtherTest
from tests.federation.silent_failures import FAILURES, NUMBERS

ROOT = Path(__file__).parents[3]
OTHER_TESTS = {
    row.test for failure in FAILURES for row in (failure.stock, *failure.kit) if isinstance(row, OtherTest)
}


def test_every_silent_failure_has_its_rows() -> None:
    assert {failure.number for failure in FAILURES} - {None} == set(NUMBERS)
    assert all(failure.kit for failure in FAILURES)


@pytest.mark.parametrize("test", sorted(OTHER_TESTS))
def test_a_test_of_another_file_exists(test: str) -> None:
    file, _, function = test.partition("::")
    assert re.search(rf"^def {function}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_the_measured_table_has_every_failure_and_is_of_the_pinned_nvflare() -> None:
    """`make stock` measures what NVFlare alone does; a new pin needs a new table."""
    measured = (ROOT / "docs" / "guard.md").read_text(encoding="utf-8").partition("## Measured")[2]

    assert f"with NVFlare {NVFLARE_VERSION}," in measured
    rows = {
        line.split(" | ")[0].removeprefix("| ") for line in measured.splitlines() if line.startswith("| ")
    }
    assert {failure.what for failure in FAILURES} == rows - {"failure"}
