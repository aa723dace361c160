"""The exported job `numpy-fedavg`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from deploy.session.parameters import find_job, read_parameters
from deploy.session.submission import JobSites, export_process
from fl_app.jobs.export import ExportRequest
from fl_app.jobs.export import export as export_job
from tests.unit.numpy_fedavg.test_parameters import AGGREGATOR

SITES = ("north", "south_2", "Site-3")


def export(into: Path, *settings: str) -> Path:
    job = find_job("numpy-fedavg")
    parameters = read_parameters(job, settings).model_dump(mode="json")
    request = ExportRequest(parameters=parameters, sites=SITES, only_these=False, folder=into)
    reply = export_job(job, request)
    assert reply.folder is not None
    return reply.folder


def config(job: Path, app: str, side: str) -> dict[str, Any]:
    return json.loads((job / app / "config" / f"config_fed_{side}.json").read_text())


def component(config: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in config["components"] if one["id"] == name)
    return found["args"]


def executor(config: dict[str, Any]) -> dict[str, Any]:
    (found,) = config["executors"]
    return found["executor"]["args"]


def test_every_parameter_is_exported_by_nvflares_name(tmp_path: Path) -> None:
    np.save(tmp_path / "start.npy", np.array([[1.5, 2], [3, 4]]))
    (tmp_path / "mine.py").write_text("from beside import value\n")
    (tmp_path / "beside.py").write_text("value = 1\n")
    job = export(
        tmp_path / "jobs", "rounds=7", f"model={tmp_path / 'start.npy'}", "min_clients=2", "transfer=DIFF",
        f"train_script={tmp_path / 'mine.py'}", "train_args=--rate 0.5 --name 'a b'", "external_process=true",
        "command=python3 -O", "launch_once=false", "shutdown_timeout=3", "key_metric=accuracy",
        "key_metric_mode=max", "stop_cond=accuracy >= 0.9", "patience=2", "exclude_vars=bias.*",
        'aggregation_weights={"north": 2}',
    )  # fmt: skip

    server, client = config(job, "app", "server"), config(job, "app", "client")
    (workflow,) = server["workflows"]
    assert workflow["path"] == "nvflare.app_common.workflows.fedavg.FedAvg"
    expected = {
        "num_rounds": 7, "num_clients": 2, "stop_cond": "accuracy >= 0.9", "patience": 2,
        "exclude_vars": "bias.*", "aggregation_weights": {"north": 2.0},
    }  # fmt: skip
    assert workflow["args"].items() >= expected.items()
    assert component(server, "persistor")["model"] == [[1.5, 2.0], [3.0, 4.0]]
    assert component(server, "model_selector").items() >= {"key_metric": "accuracy"}.items()
    command = ["python3", "-O", "custom/mine.py", "--rate", "0.5", "--name", "a b"]
    expected = {
        "execution_mode": "external_process", "command": command, "launch_once": False,
        "shutdown_timeout": 3.0, "params_transfer_type": "DIFF",
    }  # fmt: skip
    assert executor(client).items() >= expected.items()
    assert (job / "app" / "custom" / "mine.py").read_text() == "from beside import value\n"
    assert (job / "app" / "custom" / "beside.py").is_file()
    assert json.loads((job / "meta.json").read_text())["min_clients"] == 2


def test_the_job_contains_no_absolute_path_of_this_machine(tmp_path: Path) -> None:
    numpy_fedavg = find_job("numpy-fedavg")
    with export_process(numpy_fedavg) as exporting:  # its sys.path decides how NVFlare names the script
        parameters = read_parameters(numpy_fedavg, ())
        job = exporting.export(parameters, JobSites(SITES, chosen=False), tmp_path).folder
    assert job is not None
    assert executor(config(job, "app", "client"))["task_script_path"] == "train.py"
    assert (job / "app" / "custom" / "train.py").is_file()
    for file in job.rglob("*.json"):
        assert str(Path(__file__).parents[3]) not in file.read_text()


def test_a_site_has_its_own_settings_and_the_others_have_the_common_ones(tmp_path: Path) -> None:
    per_site = {"south_2": {"train_args": "--poison 9", "external_process": True, "transfer": "DIFF"}}
    job = export(tmp_path, "train_args=--steps 3", f"per_site={json.dumps(per_site)}")
    assert json.loads((job / "meta.json").read_text())["deploy_map"].keys() == {
        "app_server", "app_north", "app_south_2", "app_Site-3",
    }  # fmt: skip
    other = executor(config(job, "app_south_2", "client"))
    assert other["command"] == ["python3", "-u", "custom/train.py", "--poison", "9"]
    assert other["params_transfer_type"] == "DIFF"
    for site in ("north", "Site-3"):
        arguments = executor(config(job, f"app_{site}", "client"))
        assert arguments["task_script_args"] == "--steps 3"
        assert arguments["execution_mode"] == "in_process"


def test_the_examples_model_and_the_median_are_exported(tmp_path: Path) -> None:
    server = config(export(tmp_path, "aggregator=median"), "app", "server")
    assert component(server, "persistor")["model"] == [0.0] * 5
    path = "fl_app.jobs.numpy_fedavg.median.MedianAggregator"
    assert server["workflows"][0]["args"]["aggregator"]["path"] == path


def test_a_custom_aggregator_is_part_of_the_job(tmp_path: Path) -> None:
    (tmp_path / "mine_first.py").write_text(AGGREGATOR)
    job = export(tmp_path / "jobs", f"aggregator={tmp_path / 'mine_first.py'}:First")
    (workflow,) = config(job, "app", "server")["workflows"]
    assert workflow["args"]["aggregator"]["path"] == "mine_first.First"
    assert (job / "app" / "custom" / "mine_first.py").is_file()
