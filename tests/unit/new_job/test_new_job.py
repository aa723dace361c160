"""`flarefleet new-job` writes a complete folder that passes its own tests, or nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.errors import InputError
from deploy.new_job import FRAMEWORKS, write_job


def run(folder: Path, command: str) -> str:
    words = [sys.executable, "-m", *command.split()]
    ran = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def test_new_jobs_pass_their_own_tests_and_the_linter(tmp_path: Path) -> None:
    parent = tmp_path / "new" / "parent"
    for framework in FRAMEWORKS:
        folder = write_job(f"fresh-{framework}", framework, parent)
        assert folder == parent / f"fresh-{framework}"
        assert "{" + "{" not in "".join(file.read_text() for file in folder.rglob("*.*") if file.is_file())
        rules = "--select E,F,W,I,B,UP,D1 --ignore D107,D103,D102 --line-length 110"
        run(folder, f"ruff check --isolated {rules} .")

    # tests/vla runs the job for Hugging Face, in the environment that has its packages.
    assert "9 passed" in run(parent, "pytest -q -p no:xdist -p no:cacheprovider . --ignore fresh-huggingface")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is not a valid job name: use lowercase letters"),
        ("My-Job", "lowercase letters"),
        ("my_job", "lowercase letters"),
        ("2-jobs", "a letter first"),
        ("my--job", "single hyphens"),
        ("-x", "lowercase letters"),
        ("../x", "lowercase letters"),
        ("a" * 41, "at most 40"),
        ("class", "another Python module has the name class"),
        ("json", "has the name json"),
        ("job", "has the name job"),
        ("hospital", "is the name of a job of Flarefleet"),
    ],
)
def test_an_invalid_name_is_rejected(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        write_job(name, "numpy", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "my-job").mkdir()
    with pytest.raises(InputError, match="already exists; choose another name or folder"):
        write_job("my-job", "numpy", tmp_path)
