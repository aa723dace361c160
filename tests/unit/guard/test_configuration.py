"""Settings in a job's configuration that would fail silently."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fl_app.guard.configuration import findings_in_config, findings_in_job

PERSISTOR = "nvflare.app_common.np.np_model_persistor.NPModelPersistor"
MLFLOW = "nvflare.app_opt.tracking.mlflow.mlflow_receiver.MLflowReceiver"
WANDB = "nvflare.app_opt.tracking.wandb.wandb_receiver.WandBReceiver"
WANDB_ARGS = {"name": "run", "project": "p", "group": "g", "job_type": "train"}


def config(path: str, **args: Any) -> dict[str, Any]:
    return {"format_version": 2, "components": [{"id": "it", "path": path, "args": args}]}


def lines(document: Any) -> list[str]:
    return [finding.line for finding in findings_in_config(document, at="server")]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (config(PERSISTOR), "it (NPModelPersistor).model: no initial model"),
        (config(PERSISTOR, model=None, model_dir="models"), "no initial model"),
        (config(MLFLOW, tracking_uri="file:///runs"), "file:///runs is a folder, which MLflow 3.17 rejects"),
        (config(MLFLOW, tracking_uri="runs/here"), "runs/here is a folder"),
        (config(WANDB, kw_args={"project": "p"}), "unknown arguments: kw_args. Valid arguments:"),
        (config(WANDB, mode="offline"), "wandb_args is missing"),
        (config(WANDB, wandb_args={"name": "run"}), "wandb_args has no project, job_type"),
        (config(WANDB, wandb_args={**WANDB_ARGS, "name": ""}), "wandb_args has no name"),
    ],
)
def test_a_setting_that_would_fail_silently_is_reported_with_its_component(
    document: Any, reason: str
) -> None:
    (line,) = lines(document)
    assert line.startswith("server, it (")
    assert reason in line


@pytest.mark.parametrize(
    "document",
    [
        config(PERSISTOR, model=[[1.0]]),
        config(PERSISTOR, source_ckpt_file_full_name="/data/model.npy"),
        config(MLFLOW),
        config(MLFLOW, tracking_uri="http://mlflow:5000"),
        config(MLFLOW, tracking_uri="sqlite:////data/mlflow.db"),
        config(WANDB, mode="offline", wandb_args=WANDB_ARGS),
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
def test_a_valid_or_unknown_configuration_has_no_findings(document: Any) -> None:
    assert lines(document) == []


def test_packages_are_checked_only_where_the_job_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    document = config(MLFLOW, tracking_uri="http://mlflow:5000")
    monkeypatch.setattr("fl_app.guard.configuration.find_spec", lambda name: None)
    assert findings_in_config(document, at="server") == ()
    (finding,) = findings_in_config(document, at="server", check_packages=True)
    assert "needs the package mlflow, which is not installed" in finding.line


def test_all_apps_of_a_job_are_checked_and_each_finding_is_reported_once(tmp_path: Path) -> None:
    for app in ("app_server", "app_site-1", "app_site-2"):
        (tmp_path / app / "config").mkdir(parents=True)
    (tmp_path / "app_server" / "config" / "config_fed_server.json").write_text(json.dumps(config(PERSISTOR)))
    for app in ("app_site-1", "app_site-2"):
        file = tmp_path / app / "config" / "config_fed_client.json"
        file.write_text(json.dumps(config(WANDB, kw_args={})))
    assert [finding.site for finding in findings_in_job(tmp_path)] == ["server", "the sites"]


def test_a_folder_without_a_job_or_with_invalid_json_has_no_findings(tmp_path: Path) -> None:
    assert findings_in_job(tmp_path / "absent") == ()
    (tmp_path / "app" / "config").mkdir(parents=True)
    (tmp_path / "app" / "config" / "config_fed_server.json").write_text("{")
    assert findings_in_job(tmp_path) == ()


def flower(path: str = "nvflare.app_opt.flower.controller.FlowerController") -> dict[str, Any]:
    return {"workflows": [{"id": "controller", "path": path, "args": {}}], "components": []}


def test_nvflares_flower_integration_is_rejected_with_the_recipe_of_the_kit() -> None:
    (line,) = lines(flower())
    assert line.startswith("server, controller (FlowerController): NVFlare's Flower integration ignores")
    assert "fl_app.jobs.flower_recipe.FlowerAppRecipe" in line
    assert lines(flower("fl_app.flower.server.FlowerServer")) == []


def test_a_job_with_a_disabled_guard_has_no_findings() -> None:
    document = flower()
    document["components"] = config(PERSISTOR)["components"]
    assert len(lines(document)) == 2
    guard = {"id": "guard", "path": "fl_app.guard.component.JobGuard", "args": {"enabled": False}}
    document["components"] += [guard]
    assert lines(document) == []
