"""`submit` names the workflows of a job that start over, or end, if a process of the job is killed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.session.submission import not_resumed
from fl_app.jobs.export import ExportReply, ExportRequest, export
from fl_app.jobs.registry import find
from fl_app.survival.starting_over import RESUMABLE
from tests.unit.survival.test_resume import WORKFLOWS

FEDAVG = "nvflare.app_common.workflows.fedavg.FedAvg"


def job_with(folder: Path, *workflows: str, module: str = "") -> ExportReply:
    config = folder / "app" / "config"
    config.mkdir(parents=True)
    entries = [{"id": str(number), "path": path} for number, path in enumerate(workflows)]
    (config / "config_fed_server.json").write_text(json.dumps({"workflows": entries}))
    if module:
        custom = folder / "app" / "custom" / "mine"
        custom.mkdir(parents=True)
        (custom / "control.py").write_text(module)
    return ExportReply(folder=folder)


@pytest.mark.parametrize(
    "name", ["probe", "hospital", "fibonacci", "fedadagrad", "fedprox-vla", "numpy-fedavg"]
)
def test_the_jobs_of_the_kit_resume(name: str, tmp_path: Path) -> None:
    request = ExportRequest(parameters={}, sites=("site-1", "site-2"), only_these=False, folder=tmp_path)

    assert not_resumed(export(find(name), request)) == []


@pytest.mark.parametrize(
    ("workflow", "name"),
    [
        ("nvflare.app_common.ccwf.SwarmServerController", "SwarmServerController"),
        ("fl_app.flower.server.FlowerServer", "FlowerServer"),
    ],
)
def test_a_workflow_that_ends_is_named(workflow: str, name: str, tmp_path: Path) -> None:
    (warning,) = not_resumed(job_with(tmp_path, FEDAVG, workflow, workflow))

    assert warning == (
        f"{name} saves no checkpoint: if a process of the job is killed, at the server or at a site, the "
        "job starts over from round 1 (docs/survival.md)"
    )


def test_a_workflow_that_starts_over_is_named(tmp_path: Path) -> None:
    workflows = ["mine.control.Momentum"] * 2
    (warning,) = not_resumed(job_with(tmp_path, FEDAVG, *workflows, module="class Momentum: ..."))

    assert warning == (
        "Momentum saves no checkpoint: if the server's process of the job is killed, the job starts over "
        "from round 1 (docs/survival.md)"
    )


def test_nothing_is_said_of_a_workflow_that_resumes_or_trains_nothing(tmp_path: Path) -> None:
    module = "from fl_app.survival.resumable import Resumable\n\nclass Momentum(Resumable): ...\n"
    evaluation = "nvflare.app_common.workflows.cross_site_eval.CrossSiteEval"

    assert not_resumed(job_with(tmp_path, FEDAVG, "mine.control.Momentum", evaluation, module=module)) == []


def test_an_aggregator_with_unknown_state_is_named(tmp_path: Path) -> None:
    job = job_with(tmp_path, FEDAVG)
    file = tmp_path / "app" / "config" / "config_fed_server.json"
    config = json.loads(file.read_text())
    config["workflows"][0]["args"] = {"aggregator": "mine"}
    config["components"] = [{"id": "mine", "path": "nvflare.app_opt.sklearn.mine.Assembler"}]
    file.write_text(json.dumps(config))

    (warning,) = not_resumed(job)

    assert warning.startswith("Assembler saves no checkpoint")


def test_every_workflow_that_is_said_to_resume_is_tested() -> None:
    tested = {type(make().workflows[0]) for make in WORKFLOWS.values()}
    untested = set(RESUMABLE) - {f"{kind.__module__}.{kind.__qualname__}" for kind in tested}
    assert untested == {"nvflare.app_opt.pt.fedavg.PTFedAvg"}, "FedAvg with another format of its file"
