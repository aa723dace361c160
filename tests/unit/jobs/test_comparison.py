"""The result of a job in a table, and several runs side by side."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.errors import InputError
from deploy.session.comparison import Run, compare, read_run
from deploy.session.job import COMPLETED, Job
from deploy.session.job_result import result_text, rounds_text
from deploy.session.results import SUMMARY_FILE
from fl_app.telemetry.job_progress import PROGRESS_META, BestModel, JobProgress, SiteProgress

SITES = {
    "north": SiteProgress(metrics={"loss": 0.5, "epoch": 3}),
    "south": SiteProgress(metrics={"loss": 1.5, "epoch": 3}),
}
BEST = BestModel(round=2, metric="accuracy", value=0.91)


def job(status: str = COMPLETED, name: str = "hospital", **progress: Any) -> Job:
    properties = {"parameters": progress.pop("parameters", {})}
    aborted = {"flarefleet.aborted_by": progress.pop("aborted_by", "")}
    final = JobProgress(**{"round": 3, "rounds": 3, "sites": SITES, **progress})
    return Job.of({
        "job_id": "2853de48-a516-42ec-a326-7ccdddb7839c", "name": name, "status": status,
        "submit_time": datetime(2026, 11, 30, tzinfo=timezone.utc).timestamp(), "duration": "0:00:07.8",
        "custom_props": properties, PROGRESS_META: final.model_dump(mode="json"), **aborted,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("given", "rounds", "result"),
    [
        (job(best=BEST), "3", "accuracy 0.91 (best model, after round 2)"),
        (job(metrics={"loss": 0.25}), "3", "loss 0.25"),
        (job(), "3", "loss 1, epoch 3"),
        (job("RUNNING", round=2), "2 of 3", "loss 1, epoch 3"),
        (job("FINISHED:ABORTED", round=1, aborted_by="lead@a.org"), "1 of 3", "aborted by lead@a.org"),
        (job("FINISHED:EXECUTION_EXCEPTION", fatal="no\nmemory"), "3", "no"),
        (
            job("FINISHED:EXECUTION_EXCEPTION", sites={"north": SiteProgress(error="KeyError: 1")}),
            "3",
            "north: KeyError: 1",
        ),
        (job("FINISHED:EXECUTION_EXCEPTION", fatal="x" * 100), "3", "x" * 77 + "..."),
    ],
)
def test_a_job_in_the_table_has_its_rounds_and_its_result(given: Job, rounds: str, result: str) -> None:
    assert (rounds_text(given), result_text(given)) == (rounds, result)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("0:00:09.768445", 9.768445), ("1 day, 0:00:05", 86405.0), ("N/A", None), (None, None)],
)
def test_the_duration_in_a_document_is_a_number_of_seconds(duration: object, seconds: float | None) -> None:
    meta = {"job_id": "1", "name": "probe", "status": COMPLETED, "duration": duration}
    document = Job.of(meta).document()
    assert document["duration_seconds"] == seconds
    assert "duration" not in document


def test_a_job_that_a_site_does_not_accept_has_the_reason_of_the_site_as_its_result() -> None:
    meta = {"job_id": "1", "name": "probe", "status": "FINISHED:FAILED_TO_RUN"}
    answers = ["server: OK", "site-1: NVFLARE_ERROR: BYOC not permitted"]
    assert result_text(Job.of({**meta, "job_deploy_detail": answers})) == "site-1: BYOC not permitted"


def test_runs_are_compared_by_parameters_and_metrics() -> None:
    first = Run.of(job(parameters={"rounds": 3, "mu": 0.0, "quorum": None}, best=BEST).document())
    second = Run.of(job(parameters={"rounds": 3, "mu": 0.1}, metrics={"loss": 0.25}).document())

    rows = {(row.group, row.name): row for row in compare([first, second])}

    assert first.name == "hospital-2853de48"
    assert rows["parameters", "mu"].values == (0.0, 0.1)
    assert rows["parameters", "mu"].differs
    assert ("parameters", "quorum") not in rows
    assert not rows["parameters", "rounds"].differs
    assert rows["metrics", "best model: accuracy"].values == (0.91, None)
    assert rows["metrics", "server: loss"].values == (None, 0.25)
    assert rows["metrics", "mean of sites: loss"].values == (1.0, 1.0)
    assert rows["metrics", "south: loss"].values == (1.5, 1.5)
    assert rows["job", "duration_seconds"].values == (7.8, 7.8)
    assert rows["job", "rounds"].values == (3, 3)
    assert rows["metrics", "best model: round"].values == (2, None)


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """The results of two runs, as `fetch` writes them."""
    for name, mu in (("first", 0.0), ("second", 0.1)):
        (tmp_path / name).mkdir()
        document = job(name=name, parameters={"rounds": 3, "mu": mu}, best=BEST).document()
        (tmp_path / name / SUMMARY_FILE).write_text(json.dumps(document))
    return [str(tmp_path / "first"), str(tmp_path / "second")]


def output(*arguments: str) -> str:
    answer = CliRunner().invoke(app, ["compare", *arguments])
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_fetched_results_are_compared_without_a_session(folders: list[str]) -> None:
    lines = [line.split() for line in output(*folders).splitlines()]
    assert lines[0] == ["first-2853de48", "second-2853de48"]
    assert ["mu", "*", "0", "0.1"] in lines
    assert ["rounds", "3", "3"] in lines
    assert ["duration", "0:00:07", "0:00:07"] in lines

    different = output(*folders, "--differences").splitlines()
    assert [line.split()[0] for line in different[1:]] == ["parameters", "mu"]


def test_a_comparison_is_printed_as_csv_and_json(folders: list[str]) -> None:
    rows = list(csv.reader(io.StringIO(output(*folders, "--csv"))))
    assert rows[0] == ["group", "name", "first-2853de48", "second-2853de48"]
    assert ["parameters", "mu", "0.0", "0.1"] in rows
    assert ["job", "duration_seconds", "7.8", "7.8"] in rows
    assert ["metrics", "best model: round", "2", "2"] in rows

    document = json.loads(output(*folders, "--json"))
    (mu,) = [row for row in document["rows"] if row["name"] == "mu"]
    assert (mu["values"], mu["differs"]) == ([0.0, 0.1], True)


def test_what_is_neither_a_job_nor_a_folder_is_rejected_without_a_session(
    folders: list[str],
) -> None:
    answer = CliRunner().invoke(app, ["compare", "latest", folders[0], "nope"])
    assert "nope: is neither a folder of results nor the id of a job" in str(answer.exception)


def test_a_folder_without_results_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="flarefleet fetch JOB"):
        read_run(tmp_path)


@pytest.mark.parametrize("text", ["[]", '"done"', "3"])
def test_results_that_are_no_object_are_rejected(tmp_path: Path, text: str) -> None:
    (tmp_path / SUMMARY_FILE).write_text(text)

    with pytest.raises(InputError, match=f"{SUMMARY_FILE}: must be a JSON object"):
        read_run(tmp_path)


@pytest.mark.parametrize("duration", ['"abc"', "NaN", "Infinity"])
def test_a_duration_that_is_no_number_is_left_out(tmp_path: Path, duration: str) -> None:
    (tmp_path / SUMMARY_FILE).write_text(f'{{"name": "probe", "id": "1", "duration_seconds": {duration}}}')

    assert read_run(tmp_path).facts["duration_seconds"] is None
