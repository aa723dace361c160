"""A valid project.yml, and edits that make it invalid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from deploy.errors import InputError
from deploy.project import Project, load_project

VALID = Path(__file__).with_name("valid.yml").read_text(encoding="utf-8")
WITHOUT_DEPLOYMENT = VALID[: VALID.index("deployment:")]
HERE = "  # HERE"


def changed(old: str, new: str) -> str:
    assert VALID.count(old) == 1, f"{old!r} must be in the file exactly once"
    return VALID.replace(old, new)


def with_deployment(text: str) -> str:
    return changed("deployment:\n", f"deployment:\n  {text}\n")


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "project.yml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def load(folder: Path, content: str | bytes, workspace: Path | None = None) -> Project:
    return load_project(write(folder, content), workspace, needs_credentials=True)


def errors(folder: Path, content: str | bytes, workspace: Path | None = None) -> list[str]:
    """Return the errors of an invalid file, each without the folder of the file."""
    with pytest.raises(InputError) as caught:
        load(folder, content, workspace)
    messages = [message.removeprefix(f"{folder}/") for message in caught.value.messages]
    for message in messages:
        assert re.match(r"project\.yml:[1-9]\d*: \S", message), message
        assert "\n" not in message, message
    return messages


def edits(file: str) -> Iterator[tuple[str, list[str]]]:
    """Return the content and the further columns for each line of a file in the format of invalid.txt."""
    old = ""
    for line in (Path(__file__).parent / file).read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            old = line[2:].replace("\\n", "\n")
        elif line and not line.startswith("#"):
            new, *columns = line.split(" | ")
            new = old + new[1:] if new.startswith("&") else new.replace("(nothing)", "")
            new = new.replace("\\n", "\n")
            new += "" if HERE in new or not columns else HERE
            yield changed(old, new + "\n" if old.endswith("\n") else new), columns


def invalid_files() -> list[ParameterSet]:
    """Return (content, key, texts) for each line of invalid.txt."""
    return [
        pytest.param(content, key, texts, id=f"{number} {key}")
        for number, (content, (key, *texts)) in enumerate(edits("invalid.txt"))
    ]


def assert_error(folder: Path, content: str, key: str, texts: list[str]) -> None:
    """The error of the line marked with HERE is reported once, with the key and all texts."""
    (line,) = [number for number, text in enumerate(content.splitlines(), 1) if text.endswith(HERE)]
    start = f"project.yml:{line}: {key}: " if key else f"project.yml:{line}: "
    found = errors(folder, content)
    matching = [message for message in found if message.startswith(start)]
    assert len(matching) == 1, found
    assert all(text in matching[0] for text in texts), matching[0]
