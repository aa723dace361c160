"""Exit codes of a parent and the table that documents them."""

from __future__ import annotations

import re

from fl_app.startup import exit_codes
from fl_app.startup.exit_codes import Exit, StartupError


def test_the_table_lists_every_exit_code_once() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", exit_codes.__doc__ or "", re.MULTILINE)

    assert [(int(code), name) for code, name in rows] == [(code.value, code.name) for code in Exit]


def test_an_error_is_one_line() -> None:
    assert str(StartupError(Exit.KIT, "one\ntwo   three")) == "one two three"
