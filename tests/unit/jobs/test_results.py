"""The folder of a fetched job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import InputError
from deploy.session.results import (
    HISTORY_FILE,
    SUMMARY_FILE,
    add_event_files,
    fetch,
    refuse_existing,
    sort_results,
)
from deploy.session.session import COMPLETED, Job
from fl_app.survival.interventions import HISTORY_META, Intervention, Kind

SERVER_CONFIG = "app_server/config/config_fed_server.json"
ARCHIVE = (
    "meta.json",
    "job/hospital/meta.json",
    "job/hospital/app/config/config_fed_server.json",
    "job/hospital/app/config/.__nvfl_sig.json",
    "workspace/log.txt",
    "workspace/error_log.txt",
    "workspace/audit.log",
    "workspace/fl_app.txt",
    "workspace/app_server/FL_global_model.pt",
    "workspace/app_server/best_FL_global_model.pt",
    "workspace/app_server/config/config_fed_server.json",
    "workspace/cross_site_val/cross_val_results.json",
    "workspace/metrics/round_metrics.jsonl",
    "workspace/flarefleet_end.txt",
    "workspace/tb_events/site-1/events.out.tfevents.1",
    "workspace/tb_events/site-2/events.out.tfevents.1",
)


def test_a_result_archive_is_sorted_by_kinds_of_files(tmp_path: Path) -> None:
    archive, laid_out = tmp_path / "archive", tmp_path / "results"
    for name in ARCHIVE:
        file = archive / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)

    sort_results(archive, laid_out)

    found = {
        str(file.relative_to(laid_out)): file.read_text() for file in laid_out.rglob("*") if file.is_file()
    }
    assert found == {
        "meta.json": "meta.json",
        "job/meta.json": "job/hospital/meta.json",
        "job/app/config/config_fed_server.json": "job/hospital/app/config/config_fed_server.json",
        "logs/server.log.txt": "workspace/log.txt",
        "logs/server.error_log.txt": "workspace/error_log.txt",
        "logs/server.audit.log": "workspace/audit.log",
        "model/FL_global_model.pt": "workspace/app_server/FL_global_model.pt",
        "model/best_FL_global_model.pt": "workspace/app_server/best_FL_global_model.pt",
        "metrics/cross_site_val/cross_val_results.json": "workspace/cross_site_val/cross_val_results.json",
        "metrics/round_metrics.jsonl": "workspace/metrics/round_metrics.jsonl",
        "tb_events/site-1/events.out.tfevents.1": "workspace/tb_events/site-1/events.out.tfevents.1",
        "tb_events/site-2/events.out.tfevents.1": "workspace/tb_events/site-2/events.out.tfevents.1",
        "other/fl_app.txt": "workspace/fl_app.txt",
        "other/flarefleet_end.txt": "workspace/flarefleet_end.txt",
        f"other/{SERVER_CONFIG}": f"workspace/{SERVER_CONFIG}",
    }


def test_a_folder_that_is_not_empty_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="is not an empty folder"):
        refuse_existing(tmp_path)
    with pytest.raises(InputError):
        refuse_existing(tmp_path / "mine.txt")


def test_a_new_or_empty_folder_is_accepted(tmp_path: Path) -> None:
    refuse_existing(tmp_path)
    refuse_existing(tmp_path / "new")


def test_files_of_one_name_keep_their_folders(tmp_path: Path) -> None:
    names = (
        "workspace/best/model.pt",
        "workspace/model.pt",
        "workspace/app_server/model.pt",
        "workspace/eval/site-1/accuracy.json",
        "workspace/eval/site-2/accuracy.json",
        "workspace/app_server/trainer/run.log",
        "workspace/evaluator/run.log",
        "job/first/meta.json",
        "job/second/meta.json",
    )
    for name in names:
        (tmp_path / "archive" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "archive" / name).write_text(name)

    sort_results(tmp_path / "archive", tmp_path / "results")

    found = [file for file in (tmp_path / "results").rglob("*") if file.is_file()]
    assert sorted(file.read_text() for file in found) == sorted(names)
    assert {str(file.relative_to(tmp_path / "results")) for file in found} >= {
        "model/best/model.pt",
        "metrics/eval/site-1/accuracy.json",
        "logs/trainer/server.run.log",
    }


class Session:
    """A session with one finished job, whose archive is empty."""

    def __init__(self, *history: Intervention) -> None:
        documents = [one.document() for one in history]
        self.sent: dict[str, Path] = {}
        self.meta = {"job_id": "1", "name": "probe", "status": COMPLETED, HISTORY_META: documents}

    def job(self, job_id: str) -> Job:
        return Job.of(self.meta)

    def download(self, job_id: str, into: Path) -> Path:
        into.mkdir()
        return into

    def components(self, job_id: str) -> dict[str, Path]:
        return self.sent

    def sites(self) -> tuple[str, ...]:
        return ("north", "south")


def test_the_results_contain_what_survival_did(tmp_path: Path) -> None:
    session: Any = Session(Intervention(Kind.RESTARTED, "killed by signal 9; started again", "north", 7.0))
    folder = fetch(session, "1", tmp_path / "results")
    (entry,) = json.loads((folder / HISTORY_FILE).read_text())
    assert entry["line"] == "north: killed by signal 9; started again"
    assert (entry["kind"], entry["site"], entry["time"]) == ("restarted", "north", 7.0)


def test_the_results_of_an_undisturbed_job_have_no_history(tmp_path: Path) -> None:
    session: Any = Session()
    folder = fetch(session, "1", tmp_path / "results")
    assert [file.name for file in folder.iterdir()] == [SUMMARY_FILE]
    assert json.loads((folder / SUMMARY_FILE).read_text())["status"] == COMPLETED


def test_the_results_contain_what_sites_sent_and_the_event_files_that_the_server_recorded(
    tmp_path: Path,
) -> None:
    session: Any = Session()
    for name in (
        "LOG_tb_events/north/events",
        "LOG_tb_events/server/events",
        "LOG_log.txt_north",
        "ERRORLOG_south",
    ):
        file = tmp_path / "sent" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        component = file if file.name != "events" else file.parents[1]
        session.sent[f"{component.name}.zip" if component.is_dir() else component.name] = component

    folder = fetch(session, "1", tmp_path / "results")

    found = {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}
    del found[SUMMARY_FILE]
    assert found == {
        "tb_events/north/events": "LOG_tb_events/north/events",
        "tb_events/server/events": "LOG_tb_events/server/events",
        "logs/north.log.txt": "LOG_log.txt_north",
        "logs/south.error.log": "ERRORLOG_south",
    }


def test_values_of_the_server_that_the_job_itself_recorded_are_not_added_again(tmp_path: Path) -> None:
    for folder in ("recorded/flare-server", "recorded/south", "results/consortium"):
        (tmp_path / folder).mkdir(parents=True)

    add_event_files(tmp_path / "recorded", tmp_path / "results", ["north", "south"])

    assert {folder.name for folder in (tmp_path / "results").iterdir()} == {"consortium", "south"}


def test_event_files_of_the_job_itself_are_kept(tmp_path: Path) -> None:
    for folder in ("recorded/north", "recorded/south", "results/north"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "events").write_text(folder)

    add_event_files(tmp_path / "recorded", tmp_path / "results", ["north", "south"])

    assert (tmp_path / "results" / "north" / "events").read_text() == "results/north"
    assert (tmp_path / "results" / "south" / "events").read_text() == "recorded/south"
