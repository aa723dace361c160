"""Run pytest; run the tests that failed once more, alone; list those that then passed under `flaky:`.

`make test` and `make test-all` call `python -m tests.rerun [PYTEST-ARGUMENT...]`. A flaky test does not fail
the run, but stays visible until its cause is found: the list is also written to
.cache/flaky.txt, which `.ci/run` prints last.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

FLAKY = Path(".cache") / "flaky.txt"
MOST_RERUN = 10
"""If more tests fail, the change is broken rather than a test flaky."""
_LAST_FAILED = Path(".pytest_cache") / "v" / "cache" / "lastfailed"
_TESTS_FAILED = 1
_XDIST_GROUP = re.compile(r"@[^\]]*$")
"""The suffix that xdist adds to the id of a test in a group."""
_PARALLEL = ("-n", "--dist", "--numprocesses")


def main(arguments: list[str]) -> int:
    """Return pytest's exit status: that of the second run if there was one."""
    status, failed = _pytest(arguments)
    if status != _TESTS_FAILED or not 0 < len(failed) <= MOST_RERUN:
        return status
    print(f"\nrunning {len(failed)} failed test(s) once more, alone", flush=True)
    status, failed_again = _pytest([*_sequential(arguments), *failed])
    flaky = [name for name in failed if name not in failed_again]
    if flaky and status in (0, _TESTS_FAILED):
        print("\nflaky:", *(f"  {name}" for name in flaky), sep="\n", flush=True)
        FLAKY.parent.mkdir(exist_ok=True)
        with FLAKY.open("a", encoding="utf-8") as out:
            out.writelines(f"{name}\n" for name in flaky)
    return status


def _pytest(arguments: list[str]) -> tuple[int, list[str]]:
    """Return pytest's exit status and the ids of the tests that failed."""
    _LAST_FAILED.unlink(missing_ok=True)
    status = subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode
    try:
        failed = json.loads(_LAST_FAILED.read_bytes())
    except FileNotFoundError:
        return status, []
    return status, sorted({_XDIST_GROUP.sub("", name) for name in failed})


def _sequential(arguments: list[str]) -> list[str]:
    """Drop the options of pytest-xdist, each with its value."""
    kept, skip = [], False
    for argument in arguments:
        if skip or argument in _PARALLEL:
            skip = not skip
        else:
            kept.append(argument)
    return kept


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
