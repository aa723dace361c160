"""The walkthrough shows what its commands print, and installs as INSTALL.md of the release folders says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.app import app
from tests.documented import ROOT

PAGE = (ROOT / "docs" / "walkthrough.md").read_text(encoding="utf-8")


def shown() -> Iterator[tuple[str, str]]:
    """Yield each command of the page with the output below it."""
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        for part in block.split("\n$ "):
            command, _, output = part.removeprefix("$ ").partition("\n")
            yield command, output.rstrip("\n")


SHOWN = dict(shown())
OPERATOR = [
    line for line in SHOWN if line.startswith(("flarefleet init", "flarefleet check", "flarefleet provision"))
]
INSTALLATION = [line for line in SHOWN if line.startswith(("kubectl", "helm"))]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """The folder of the operator, and what each of the operator's commands prints."""
    folder = tmp_path_factory.mktemp("walk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield (
            folder,
            {line: CliRunner().invoke(app, shlex.split(line)[1:]).output.strip() for line in OPERATOR},
        )


@pytest.mark.parametrize("line", OPERATOR)
def test_a_command_prints_what_the_page_shows(printed: tuple[Path, dict[str, str]], line: str) -> None:
    folder, outputs = printed

    assert outputs[line] == SHOWN[line].replace("/tmp/walk/", f"{folder}/")


@pytest.mark.parametrize("line", INSTALLATION)
def test_a_participant_installs_as_its_release_folder_says(
    printed: tuple[Path, dict[str, str]], line: str
) -> None:
    name = "flare-server" if "flare-server" in line else "north"
    page = (printed[0] / "workspace" / "retina" / "release" / name / "INSTALL.md").read_text(encoding="utf-8")

    assert re.sub(r" -f own\.yaml| --tail=\d+", "", line) in page


def test_the_page_shows_every_step_of_the_operator() -> None:
    assert [line.split()[1] for line in OPERATOR] == ["init", "check", "provision"]
