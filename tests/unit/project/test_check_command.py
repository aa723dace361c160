"""The command `flarefleet check`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
    assert (facts["valid"], facts["mistakes"]) == (True, [])


def test_check_prints_every_error_and_nothing_else(tmp_path: Path) -> None:
    content = VALID.replace("fed_learn_port", "fed_learn_prot").replace(
        "role: project_admin", "role: '[bold]boss'"
    )
    path = write(tmp_path, content)

    done = flarefleet("--project", path, "check")

    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert first == f"{path}:9: participants[0].fed_learn_prot: unknown key; did you mean fed_learn_port?"
    assert second.startswith(f"{path}:20: ")


def test_check_lists_every_error_as_json(tmp_path: Path) -> None:
    path = write(tmp_path, VALID.replace("fed_learn_port", "fed_learn_prot"))

    done = flarefleet("check", "--json", "--project", path)

    assert (done.returncode, done.stderr) == (2, "")
    assert json.loads(done.stdout) == {
        "valid": False,
        "mistakes": [
            {
                "file": str(path),
                "line": 9,
                "key": "participants[0].fed_learn_prot",
                "message": "unknown key",
                "remedy": "did you mean fed_learn_port?",
            }
        ],
    }


def test_check_reports_a_missing_file_as_json(tmp_path: Path) -> None:
    done = flarefleet("check", "--json", "--project", tmp_path / "none.yml")

    (mistake,) = json.loads(done.stdout)["mistakes"]
    assert (done.returncode, mistake["line"]) == (2, None)
    assert "no such file" in mistake["message"]


def test_check_lists_an_error_of_yaml_as_json(tmp_path: Path) -> None:
    done = flarefleet("check", "--json", "--project", write(tmp_path, "name: [\n"))

    (mistake,) = json.loads(done.stdout)["mistakes"]
    assert (done.returncode, mistake["key"]) == (2, "")
    assert mistake["line"] in (1, 2)
