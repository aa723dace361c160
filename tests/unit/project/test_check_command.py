"""The command `flarefleet check`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .project_file import VALID, write


def flarefleet(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("flarefleet")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_check_prints_a_summary_of_a_valid_file(tmp_path: Path) -> None:
    done = flarefleet("--project", write(tmp_path, VALID), "check")

    assert (done.returncode, done.stderr) == (0, "")
    for fact in ("consortium", "flare.example.org:8002", "2 sites", "site-1, site-2", "admin@example.org"):
        assert fact in done.stdout


def test_check_prints_a_valid_file_as_json(tmp_path: Path) -> None:
    done = flarefleet("--project", write(tmp_path, VALID), "check", "--json")

    facts = json.loads(done.stdout)
    assert done.returncode == 0
    assert facts["server"]["fed_learn_port"] == 8002
    assert [site["name"] for site in facts["sites"]] == ["site-1", "site-2"]


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_check_prints_every_error_and_nothing_else(arguments: tuple[str, ...], tmp_path: Path) -> None:
    content = VALID.replace("fed_learn_port", "fed_learn_prot").replace(
        "role: project_admin", "role: '[bold]boss'"
    )
    path = write(tmp_path, content)

    done = flarefleet("--project", path, "check", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert first == f"{path}:9: participants[0].fed_learn_prot: unknown key; did you mean fed_learn_port?"
    assert second.startswith(f"{path}:20: ")
