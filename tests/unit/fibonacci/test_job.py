"""The exported job `fibonacci`, and its server's result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.session.parameters import find_job, read_parameters
from fl_app.jobs.fibonacci.controller import read_sums, summary
from fl_app.jobs.fibonacci.job import PARAMETERS, recipe

SITES = ["north", "south_2", "Site-3"]
JOB = find_job("fibonacci")
BIG = 573147844013817084100


def test_a_site_has_its_own_level_or_the_common_one(tmp_path: Path) -> None:
    made = recipe(read_parameters(JOB, ["level=12", 'levels={"south_2": 300}']), SITES)
    made.export(str(tmp_path))
    config = json.loads((tmp_path / "fibonacci" / "app" / "config" / "config_fed_server.json").read_text())
    (workflow,) = config["workflows"]
    assert workflow["args"] == {
        "levels": {"north": 12, "south_2": 300, "Site-3": 12}, "rounds": 5, "timeout": 60,
    }  # fmt: skip
    assert json.loads((tmp_path / "fibonacci" / "meta.json").read_text())["min_clients"] == 3


def test_a_level_for_a_site_that_does_not_take_part_is_rejected() -> None:
    with pytest.raises(ValueError, match="levels: east: not among the sites: north, south_2, Site-3"):
        recipe(PARAMETERS(levels={"east": 3}), SITES)


def test_the_job_is_exported_without_torch(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    request = {"parameters": {}, "sites": SITES, "only_these": False, "folder": str(tmp_path / "out")}
    done = subprocess.run(
        [sys.executable, "-m", "fl_app.jobs.export", "fibonacci"],
        input=json.dumps(request) + "\n",
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["error"] == ""


def test_sums_of_any_size_are_read_by_site() -> None:
    assert read_sums(["a", "b"], {"b": str(BIG), "a": 88}) == {"a": 88, "b": BIG}


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"a": 88}, "no answer from b; see the log: flarefleet logs b"),
        ({}, "no answer from a, b; see the log: flarefleet logs a"),
        *(({"a": 88, "b": answer}, r"b: meta\['fibonacci_sum'\]: .* neither an integer")
          for answer in (None, 88.0, "eighty-eight", True)),
    ],
)  # fmt: skip
def test_a_site_without_a_valid_answer_is_named(answers: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_sums(["a", "b"], answers)


def test_the_result_names_the_first_of_the_largest_sums() -> None:
    made = summary({"a": 10, "b": 100}, [{"a": 88, "b": BIG}, {"a": BIG, "b": BIG}, {"a": BIG, "b": BIG}])
    assert [entry["largest"] for entry in made["rounds"]] == ["b", "a", "a"]
    assert (made["best_round"], made["best_site"]) == (2, "a")
    assert made["rounds"][0] == {
        "round": 1, "sums": {"a": 88, "b": str(BIG)}, "total": str(BIG + 88), "largest": "b",
    }  # fmt: skip
    assert made["total"] == str(BIG * 5 + 88)


def test_sums_are_compared_exactly() -> None:
    assert float(BIG) == float(BIG + 1)
    assert summary({"a": 1, "b": 1}, [{"a": BIG, "b": BIG + 1}])["best_site"] == "b"
