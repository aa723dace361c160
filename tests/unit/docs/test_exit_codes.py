"""Each exit code of a parent has a page that quotes every message with which the parent exits."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.tables import exit_code_page
from fl_app import checks, startup
from fl_app.checks.exit_codes import Exit

SOURCES = sorted(
    file for package in (checks, startup) for file in Path(package.__file__ or "").parent.glob("*.py")
)
CODE = re.compile(r"Exit\.([A-Z_]+)")


def pattern(message: ast.expr) -> str:
    """Return a regular expression for a string or an f-string; inserted values match any text."""
    if isinstance(message, ast.Constant):
        return re.escape(str(message.value))
    if isinstance(message, ast.JoinedStr):
        return "".join(pattern(part) for part in message.values)
    return ".*"


def raised() -> Iterator[tuple[Exit, str]]:
    """Yield the code and the pattern of each StartupError with a constant code and a text."""
    for source in SOURCES:
        for call in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in (
                "StartupError",
                "ServerUnavailable",
            ):
                code = CODE.fullmatch(ast.unparse(call.args[0]))
                if code and pattern(call.args[1]) != ".*":
                    rest = (
                        r"(, after \d+ s of waiting; .*)?" if "Unavailable" in ast.unparse(call.func) else ""
                    )
                    yield Exit[code[1]], pattern(call.args[1]) + rest


RAISED = sorted(set(raised()))


def quoted(code: Exit) -> list[str]:
    """Return the messages on the page of a code."""
    page = exit_code_page(code).read_text(encoding="utf-8")
    end = re.escape(f" (exit code {code.value}, {code.name})")
    return re.findall(rf"^flarefleet: cannot run: (.*){end}$", page, re.MULTILINE)


@pytest.mark.parametrize(("code", "message"), RAISED)
def test_a_page_quotes_every_message_of_its_code(code: Exit, message: str) -> None:
    assert any(re.fullmatch(message, line) for line in quoted(code))


@pytest.mark.parametrize("code", Exit, ids=lambda code: code.name)
def test_a_page_explains_its_code(code: Exit) -> None:
    page = exit_code_page(code).read_text(encoding="utf-8")

    assert page.startswith(f"# {code.value}: {code.name}\n")
    assert quoted(code)
    assert "## Remedy" in page


def test_the_messages_are_found() -> None:
    assert len(RAISED) > 20
