"""Every command that a message or a template suggests is accepted by the parser."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.cli.commands import LazyCommands

ROOT = Path(__file__).parents[3]
PROSE = ("command", "runs", "name")
"""Words after `flarefleet` that begin no command; `name` stands for a version."""
PLACEHOLDERS = {"runtime": "process"}
"""Part of an expression in a message -> a value for it; every other expression is a name."""
MENTION = re.compile(r"`flarefleet (?P<quoted>[^`\n]+)`|(?<!`)flarefleet (?P<bare>[^`\n;,()#|]+)")


def texts(file: Path) -> Iterator[str]:
    """Yield the strings of a module without docstrings, or the lines of a template."""
    text = file.read_text(encoding="utf-8")
    if "flarefleet " not in text:  # parsing every module takes two seconds of each worker
        return
    if file.suffix != ".py":
        yield re.sub(r"{{.*?}}", "name", text)
        return
    tree = ast.parse(text)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= {id(part) for part in node.values}
            yield "".join(map(filled_in, node.values))
        elif isinstance(value := getattr(node, "value", None), str) and id(node) not in documentation | parts:
            yield value


def filled_in(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    expression = ast.unparse(part.value)
    return next((value for name, value in PLACEHOLDERS.items() if name in expression), "name")


def suggestions() -> Iterator[tuple[str, str]]:
    """Yield the file and the arguments of each command that can be copied from a message."""
    folders = [ROOT / "deploy", ROOT / "fl_app"]
    for file in sorted(file for folder in folders for file in folder.rglob("*") if file.is_file()):
        if file.suffix not in (".py", ".j2") or "/data/" in str(file):
            continue
        for text in texts(file):
            for found in MENTION.finditer(text):
                words = found["quoted"] or re.split(r"[.:?](\s|$)", found["bare"])[0]
                if words.split()[0] not in PROSE:
                    # Words in quotes may only name a command: "`flarefleet fetch` creates it".
                    is_name = found["quoted"] and re.fullmatch(r"[a-z -]+", words) and "--" not in words
                    yield str(file.relative_to(ROOT)), f"{words} --help" if is_name else words.strip()


CASES = sorted(set(suggestions()))


@pytest.fixture(autouse=True)
def without_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every command end after its arguments were parsed."""
    monkeypatch.chdir(tmp_path)
    Path("FILE").touch()
    load_command = LazyCommands.load_command

    def parsed(self: LazyCommands, ctx: Any, name: str) -> Any:
        command = load_command(self, ctx, name)
        for one in [command, *getattr(command, "commands", {}).values()]:
            one.callback = lambda **_: None
        return command

    monkeypatch.setattr(LazyCommands, "load_command", parsed)


@pytest.mark.parametrize(("file", "words"), CASES)
def test_a_suggested_command_is_valid(file: str, words: str) -> None:
    arguments = shlex.split(words, comments=True)
    if all(word.startswith("--") or word.isupper() for word in arguments):
        arguments.append("check")  # options alone: "Use flarefleet --project FILE"
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, f"{file}: flarefleet {words}\n{answer.output}"


def test_there_are_suggestions_to_check() -> None:
    assert len(CASES) > 40
