"""The rows of the table of silent failures, and the table as a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from deploy.session.failure import GUARD
from deploy.session.session import COMPLETED
from tests.federation.guarded_table import Outcome, Table

Evidence = Callable[[Table], None]
MAX_SENTENCE = 180
"""Characters of a line in the page."""


@dataclass(frozen=True)
class Stock:
    """A job in which NVFlare alone shows the failure: one of `STOCK` or `ENDLESS` of `guarded_job_lists`."""

    job: str
    evidence: Evidence
    """Asserts the failure that NVFlare does not report; fails if NVFlare has fixed it."""
    status: str = COMPLETED
    """Expected status; empty for any."""


@dataclass(frozen=True)
class Kit:
    """A job that the kit ends or rejects: one of `GUARDED` or `REJECTED` of `guarded_job_lists`."""

    job: str
    line: str
    """Regular expression of the one line that is shown."""
    source: str = GUARD
    """What names the reason: the guard, or a site whose code raised."""


@dataclass(frozen=True)
class Warned:
    """A job that the kit lets pass with a warning: one of `WARNED` of `guarded_job_lists`."""

    job: str
    line: str
    """Regular expression of one of the warnings."""


@dataclass(frozen=True)
class OtherTest:
    """A test in another file, which needs another federation than `test_guard.py` has."""

    test: str
    """FILE::TEST"""


@dataclass(frozen=True)
class Failure:
    """One row of the table."""

    number: int | None
    """Number of the research on NVFlare 2.9.0 (issue 7), or None."""
    what: str
    stock: Stock | OtherTest
    kit: tuple[Kit | Warned | OtherTest, ...]


def as_markdown(failures: Iterable[Failure], table: Table, rejected: Mapping[str, str]) -> str:
    """Return the table with the measured outcomes.

    Args:
        failures: rows.
        table: the jobs, ended.
        rejected: lines that `submit` shows, by job.
    """
    rows = ["| failure | level | NVFlare alone | the kit | seconds |", "|---|---|---|---|---|"]
    for failure in failures:
        for kit in failure.kit:
            level, line, seconds = _of_kit(kit, table.ended, rejected)
            cells = failure.what, level, _of_stock(failure.stock, table.ended), _shortened(line), seconds
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _of_stock(stock: Stock | OtherTest, ended: Mapping[str, Outcome]) -> str:
    if isinstance(stock, OtherTest):
        return f"see {_test_of(stock)}"
    status = ended[stock.job].status.removeprefix("FINISHED:").lower()
    return f"{status}; {stock.evidence.__name__.replace('_', ' ')}"


def _of_kit(
    kit: Kit | Warned | OtherTest, ended: Mapping[str, Outcome], rejected: Mapping[str, str]
) -> tuple[str, str, str]:
    """Return the level, the line and the seconds of a row of the kit."""
    if isinstance(kit, OtherTest):
        return "error", f"see {_test_of(kit)}", ""
    if kit.job in rejected:
        return "rejected", rejected[kit.job], ""
    outcome = ended[kit.job]
    if isinstance(kit, Warned):
        lines = [line for line in outcome.warnings if re.search(kit.line, line)]
        return "warning", lines[0] if lines else "-", f"{outcome.seconds:.1f}"
    reason = outcome.reasons.get(kit.source, "-").partition("\n")[0]
    return "error", reason if kit.source == GUARD else f"{kit.source}: {reason}", f"{outcome.seconds:.1f}"


def _shortened(line: str) -> str:
    """Return the first sentence of a line, which is in the log with its remedy."""
    sentence = line.partition(". ")[0]
    return sentence if len(sentence) <= MAX_SENTENCE else f"{sentence[:MAX_SENTENCE]}..."


def _test_of(row: OtherTest) -> str:
    return f"`{row.test.partition('::')[2]}`"
