"""Write the generated tables of pages that are written by hand: `python -m docs.tables`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from deploy.doctor import catalogue
from fl_app.checks.exit_codes import Exit
from fl_app.guard.rule_table import RULES
from fl_app.nvflare_internals.self_check import declared_names, table
from fl_app.startup import checks as startup

FOLDER = Path(__file__).parent


def _rules() -> str:
    lines = ["| rule | level | finds | NVFlare alone |", "|---|---|---|---|"]
    return "\n".join(
        [*lines, *(f"| `{rule.name}` | {rule.level.value} | {rule.finds} | {rule.stock} |" for rule in RULES)]
    )


def _checks() -> str:
    parent = (*startup.BEFORE, *startup.WORKSPACE, startup.PORTS, startup.COMPONENTS)
    return catalogue.table(catalogue.all_checks(parent))


def exit_code_page(code: Exit) -> Path:
    """Return the page of an exit code."""
    return FOLDER / "exit-codes" / f"{code.value}.md"


def _exit_codes() -> str:
    lines = ["| code | name | meaning |", "|---|---|---|"]
    for code in Exit:
        page = exit_code_page(code)
        meaning = page.read_text(encoding="utf-8").split("\n\n")[1]
        lines.append(f"| [{code.value}]({page.name}) | {code.name} | {meaning.removesuffix('.')} |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "nvflare-internals.md": lambda: table(declared_names()),
    "guard.md": _rules,
    "doctor.md": _checks,
    "exit-codes/README.md": _exit_codes,
}
"""The table of each page; its first line finds the old one."""


def updated(page: str) -> str:
    """Return a page with its current table."""
    current = TABLES[page]().rstrip("\n") + "\n"
    header = re.escape(current.partition("\n")[0])
    text = (FOLDER / page).read_text(encoding="utf-8")
    return re.sub(rf"{header}\n(\|.*\n)*", lambda _: current, text)


if __name__ == "__main__":
    for name in TABLES:
        (FOLDER / name).write_text(updated(name), encoding="utf-8")
