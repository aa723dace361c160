"""The benchmark of provisioning runs. Its measurements are not asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_provisioning_benchmark_measures_both_sides() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.provision", "--sites", "2", "--repeats", "1", "--json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    cases = {result["case"]: result for result in json.loads(done.stdout)["results"]}
    for case in ("fresh", "one site added", "no change"):
        assert cases[case]["stock"][0]["wall"] > 0
        assert cases[case]["ours"][0]["wall"] > 0
        assert cases[case]["ratio"]["wall"] > 0
