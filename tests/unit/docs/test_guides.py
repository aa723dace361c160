"""Commands, tables and links in the guides are valid."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.cli.commands import COMMANDS
from docs.tables import TABLES, updated
from fl_app.checks.exit_codes import Exit
from fl_app.survival.interventions import Kind

ROOT = Path(__file__).parents[3]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def commands_of(guide: Path) -> list[str]:
    """Return the lines of the code blocks that call flarefleet."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", guide.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith(("flarefleet ", "$ flarefleet "))]


CASES = [pytest.param(line, id=f"{guide.name}: {line}") for guide in GUIDES for line in commands_of(guide)]


@pytest.mark.parametrize("line", CASES)
def test_a_command_in_a_guide_is_valid(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    options = words[: words.index("--")] if "--" in words else words  # what follows is for a script

    # --help exits after the command line is parsed; an unknown command or option fails before.
    answer = CliRunner().invoke(app, [*options, "--help"])

    assert answer.exit_code == 0, answer.output


def test_there_are_commands_to_check() -> None:
    assert len(CASES) > 20


def test_the_readme_lists_every_command() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| for | commands |")[2]
    rows = table.partition("\n\n")[0]

    assert set(re.findall(r"`([a-z-]+)`", rows)) == set(COMMANDS)


def test_the_operators_guide_lists_the_exit_codes_of_a_parent() -> None:
    guide = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", guide, re.MULTILINE)

    assert [(int(code), name) for code, name in rows] == [(code.value, code.name) for code in Exit]


def test_the_page_about_survival_explains_every_kind_of_intervention() -> None:
    guide = (ROOT / "docs" / "survival.md").read_text(encoding="utf-8")
    table = guide.partition("| kind | meaning |")[2]

    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [kind.value for kind in Kind]


@pytest.mark.parametrize("page", TABLES)
def test_the_generated_tables_are_current(page: str) -> None:
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == updated(page), "run: python -m docs.tables"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_a_link_in_a_guide_has_a_target(guide: Path) -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)", guide.read_text(encoding="utf-8"))

    missing = [target for target in targets if not (guide.parent / target).exists()]

    assert not missing


def test_the_glossary_explains_every_term_of_the_concepts() -> None:
    page = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"(?<!\*)\*([a-z ]+)\*(?!\*)", page.partition("## Who takes part")[2])

    missing = [
        term for term in terms if not re.search(rf"^\| {term.removesuffix('s')}s? \|", glossary, re.MULTILINE)
    ]

    assert len(terms) > 10
    assert not missing
