"""The second run of failed tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def rerun(folder: Path, test: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(test)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "tests.rerun", "-q", *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_test_that_passes_alone_passes_the_run_and_is_listed_as_flaky(tmp_path: Path) -> None:
    done = rerun(
        tmp_path,
        "from pathlib import Path\n"
        "def test_once():\n"
        "    seen = Path('seen').exists(); Path('seen').touch(); assert seen\n",
    )

    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("flaky:\n  test_it.py::test_once\n")


def test_a_test_that_fails_twice_fails_the_run(tmp_path: Path) -> None:
    done = rerun(tmp_path, "def test_never(): assert False\ndef test_always(): pass\n")

    assert done.returncode == 1
    assert "flaky:" not in done.stdout


def test_many_failures_are_not_run_again(tmp_path: Path) -> None:
    done = rerun(
        tmp_path, "import pytest\n@pytest.mark.parametrize('n', range(11))\ndef test_never(n): assert False\n"
    )

    assert done.returncode == 1
    assert "once more" not in done.stdout


def test_only_the_failed_test_of_a_group_is_run_again(tmp_path: Path) -> None:
    done = rerun(
        tmp_path,
        "import pytest\n"
        "from pathlib import Path\n"
        "pytestmark = pytest.mark.xdist_group('shared')\n"
        "def count(name):\n"
        "    file = Path(name); file.write_text(file.read_text() + 'x' if file.exists() else 'x')\n"
        "    return len(file.read_text())\n"
        "@pytest.mark.parametrize('who', ['a@b'])\n"
        "def test_once(who): assert count('once') > 1\n"
        "def test_always(): count('always')\n",
        *("-n", "2", "--dist", "loadgroup"),
    )

    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("flaky:\n  test_it.py::test_once[a@b]\n")
    assert (tmp_path / "always").read_text() == "x"
