from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .valid import RIGHT, write


def flarefleet(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("flarefleet")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_a_right_file_is_summed_up(tmp_path: Path) -> None:
    done = flarefleet("--project", write(tmp_path, RIGHT), "check")

    assert (done.returncode, done.stderr) == (0, "")
    for fact in ("consortium", "flare.example.org:8002", "2 sites", "site-1, site-2", "admin@example.org"):
        assert fact in done.stdout


def test_facts_of_a_right_file_are_json_for_a_script(tmp_path: Path) -> None:
    done = flarefleet("--project", write(tmp_path, RIGHT), "check", "--json")

    facts = json.loads(done.stdout)
    assert done.returncode == 0
    assert facts["server"]["fed_learn_port"] == 8002
    assert [site["name"] for site in facts["sites"]] == ["site-1", "site-2"]


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_every_mistake_is_printed_and_nothing_else(arguments: tuple[str, ...], tmp_path: Path) -> None:
    wrong = RIGHT.replace("fed_learn_port", "fed_learn_prot").replace(
        "role: project_admin", "role: '[bold]boss'"
    )
    path = write(tmp_path, wrong)

    done = flarefleet("--project", path, "check", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert first == f"{path}:9: participants[0].fed_learn_prot: unknown key; did you mean fed_learn_port?"
    assert second.startswith(f"{path}:20: ")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    done = flarefleet("--project", tmp_path / "nothing.yml", "check")

    assert done.returncode == 2
    assert "nothing.yml: there is no such file" in done.stderr
    assert "--project FILE" in done.stderr


@pytest.mark.parametrize("arguments", [("check", "--nope"), ("nope",), ("--project",)])
def test_a_wrong_argument_is_wrong_input(arguments: tuple[str, ...]) -> None:
    done = flarefleet(*arguments)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
