"""The folder of a fetched job."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.errors import InputError
from deploy.session.results import refuse_existing, sort_results

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
