"""What a job's configuration says that cannot work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fl_app.guard.configuration import findings_in_config, findings_in_job

PERSISTOR = "nvflare.app_common.np.np_model_persistor.NPModelPersistor"
MLFLOW = "nvflare.app_opt.tracking.mlflow.mlflow_receiver.MLflowReceiver"
WANDB = "nvflare.app_opt.tracking.wandb.wandb_receiver.WandBReceiver"
RIGHT = {"name": "run", "project": "p", "group": "g", "job_type": "train"}


def config(path: str, **args: Any) -> dict[str, Any]:
    return {"format_version": 2, "components": [{"id": "it", "path": path, "args": args}]}


def lines(document: Any) -> list[str]:
    return [finding.line for finding in findings_in_config(document, at="server")]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (config(PERSISTOR), "it (NPModelPersistor).model: no model is given"),
        (config(PERSISTOR, model=None, model_dir="models"), "no model is given"),
        (config(MLFLOW, tracking_uri="file:///runs"), "file:///runs is a folder, which MLflow 3.17 refuses"),
        (config(MLFLOW, tracking_uri="runs/here"), "runs/here is a folder"),
        (config(WANDB, kw_args={"project": "p"}), "does not know kw_args. Its arguments are"),
        (config(WANDB, mode="offline"), "has no wandb_args"),
        (config(WANDB, wandb_args={"name": "run"}), "wandb_args has no project, job_type"),
        (config(WANDB, wandb_args={**RIGHT, "name": ""}), "wandb_args has no name"),
    ],
)
def test_what_would_fail_in_silence_is_said_with_its_component(document: Any, words: str) -> None:
    (line,) = lines(document)
    assert line.startswith("server, it (")
    assert words in line


@pytest.mark.parametrize(
    "document",
    [
        config(PERSISTOR, model=[[1.0]]),
        config(PERSISTOR, source_ckpt_file_full_name="/data/model.npy"),
        config(MLFLOW),
        config(MLFLOW, tracking_uri="http://mlflow:5000"),
        config(MLFLOW, tracking_uri="sqlite:////data/mlflow.db"),
        config(WANDB, mode="offline", wandb_args=RIGHT),
        config("some.other.Receiver", kw_args={}),
        {},
        [],
        None,
        {"components": "none"},
        {"components": [None, {"id": 1}, {"path": 3}]},
        {"components": [{"id": "it", "path": "a.MLflowReceiver", "args": "{resolved later}"}]},
    ],
    ids=str,
)
def test_what_works_or_is_not_understood_passes(document: Any) -> None:
    assert lines(document) == []


def test_a_package_is_asked_for_only_where_the_job_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    document = config(MLFLOW, tracking_uri="http://mlflow:5000")
    monkeypatch.setattr("fl_app.guard.configuration.find_spec", lambda name: None)
    assert findings_in_config(document, at="server") == ()
    (finding,) = findings_in_config(document, at="server", installed=True)
    assert "needs the package mlflow, which is not installed here" in finding.line


def test_a_job_folder_is_read_app_by_app_and_each_mistake_said_once(tmp_path: Path) -> None:
    for app in ("app_server", "app_site-1", "app_site-2"):
        (tmp_path / app / "config").mkdir(parents=True)
    (tmp_path / "app_server" / "config" / "config_fed_server.json").write_text(json.dumps(config(PERSISTOR)))
    for app in ("app_site-1", "app_site-2"):
        file = tmp_path / app / "config" / "config_fed_client.json"
        file.write_text(json.dumps(config(WANDB, kw_args={})))
    assert [finding.site for finding in findings_in_job(tmp_path)] == ["server", "the sites"]


def test_a_folder_that_is_no_job_or_not_json_is_left_to_nvflare(tmp_path: Path) -> None:
    assert findings_in_job(tmp_path / "absent") == ()
    (tmp_path / "app" / "config").mkdir(parents=True)
    (tmp_path / "app" / "config" / "config_fed_server.json").write_text("{")
    assert findings_in_job(tmp_path) == ()


def flower(path: str = "nvflare.app_opt.flower.controller.FlowerController") -> dict[str, Any]:
    return {"workflows": [{"id": "controller", "path": path, "args": {}}], "components": []}


def test_nvflares_own_bridge_to_flower_is_refused_with_the_name_of_the_kits() -> None:
    (line,) = lines(flower())
    assert line.startswith("server, controller (FlowerController): NVFlare's own bridge to Flower goes on")
    assert "fl_app.flower.recipe.FlowerAppRecipe" in line
    assert lines(flower("fl_app.flower.server.FlowerServer")) == []


def test_a_job_that_has_switched_its_guard_off_is_taken_as_it_is() -> None:
    document = flower()
    document["components"] = config(PERSISTOR)["components"]
    assert len(lines(document)) == 2
    guard = {"id": "guard", "path": "fl_app.guard.component.JobGuard", "args": {"enabled": False}}
    document["components"] += [guard]
    assert lines(document) == []
