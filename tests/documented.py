"""The commands in guides and runbooks, with their placeholders replaced."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.checkout import TOOLS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RUNBOOKS = [
    *sorted((DOCS / "runbooks").glob("*.md")),
    *sorted((DOCS / "exit-codes").glob("*.md")),
    DOCS / "troubleshooting.md",
    DOCS / "firewall.md",
    DOCS / "upgrade.md",
]
"""Pages whose commands tests run in their federations."""
PLACEHOLDER = re.compile(r"\b(PROJECT|SITE|NAMESPACE|JOB-ID|ADMIN|SERVER|MLFLOW)\b")
"""Placeholders, as explained in the README of the runbooks."""
SECONDS = 120


@dataclass(frozen=True)
class Command:
    """One line of a page."""

    page: str
    line: str

    @property
    def program(self) -> str:
        """The first word."""
        return self.line.split()[0]

    def filled_in(self, values: Mapping[str, str]) -> str:
        """Return the line with its placeholders replaced.

        Raises:
            KeyError: a placeholder has no value.
        """
        return PLACEHOLDER.sub(lambda found: values[found[1]], self.line)

    def __str__(self) -> str:
        return f"{self.page}: {self.line}"


def commands_in(page: Path) -> list[Command]:
    """Return the lines of the code blocks of a page, and the kubectl commands in its text."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for language, block in blocks if not language for line in block.splitlines()]
    lines += re.findall(r"`(kubectl [^`]* [^`]+)`", text)
    return [Command(page.stem, line) for line in dict.fromkeys(lines)]


def block_with(page: Path, text: str) -> list[str]:
    """Return the lines of the code block of a page that has `text`."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (found,) = (block for block in blocks if text in block)
    return found.splitlines()


def commands_of_guides(beginnings: Iterable[str]) -> list[Command]:
    """Return the commands of the guides that begin with one of these words, without comments."""
    found = {}
    for page in ("operator.md", "data-scientist.md"):
        for command in commands_in(DOCS / page):
            if command.line.startswith(tuple(beginnings)):
                line = command.line.partition(" #")[0].rstrip()
                found[line] = Command(command.page, line)
    return list(found.values())


def runbook_commands(*, of_clusters: bool) -> list[Command]:
    """Return the commands of all runbooks for a cluster, or all others, without duplicates."""
    everything = {command.line: command for page in RUNBOOKS for command in commands_in(page)}
    return [one for one in everything.values() if (one.program in ("kubectl", "helm")) == of_clusters]


def run(line: str, folder: Path) -> str:
    """Run a command in a shell in that folder, with the kit on the PATH, and return its output.

    Raises:
        AssertionError: the command fails, or takes longer than SECONDS.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), str(TOOLS), os.environ["PATH"]])
    try:
        ended = subprocess.run(
            ["bash", "-c", line],
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"{line}: still running after {SECONDS} s") from error
    assert ended.returncode == 0, f"{line}\n{ended.stdout}{ended.stderr}"
    return ended.stdout + ended.stderr


def expected(line: str, patterns: Mapping[str, str]) -> Iterator[str]:
    """Return the patterns whose key is in the line; the output of the command must match them."""
    return (pattern for part, pattern in patterns.items() if part in line)
