"""`flarefleet new-job` writes a whole folder that passes its own test, or nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.errors import InputError
from deploy.new_job import FRAMEWORKS, write_job


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_it_writes_passes_its_own_test_and_is_clean(tmp_path: Path, framework: str) -> None:
    folder = write_job(f"fresh-{framework}", framework, tmp_path / "new" / "parent")
    assert folder == tmp_path / "new" / "parent" / f"fresh-{framework}"
    ruff = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "E,F,W,I,B,UP,D1",
        "--line-length",
        "110",
    ]
    ran = subprocess.run(
        [*ruff, "--ignore", "D107,D103,D102", "."], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
    assert "{" + "{" not in "".join(file.read_text() for file in folder.rglob("*.*") if file.is_file())
    own = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "."]
    ran = subprocess.run(own, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout
    assert "3 passed" in ran.stdout


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "cannot be a job's name: small letters"),
        ("My-Job", "small letters"),
        ("my_job", "small letters"),
        ("2-jobs", "a letter first"),
        ("my--job", "single hyphens"),
        ("-x", "small letters"),
        ("../x", "small letters"),
        ("a" * 41, "at most 40"),
        ("class", "another module class"),
        ("json", "another module json"),
        ("job", "another module job"),
        ("hospital", "is a job of the kit already"),
    ],
)
def test_a_name_that_no_job_can_have_is_refused(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        write_job(name, "numpy", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "my-job").mkdir()
    with pytest.raises(InputError, match="exists already, and nothing is overwritten"):
        write_job("my-job", "numpy", tmp_path)
