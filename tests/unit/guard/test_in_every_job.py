"""Each kit and each recipe of the kit adds the guard, and `submit` rejects silent failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import InputError
from deploy.session.submission import refuse_silent_failures
from fl_app.guard.component import JobGuard
from fl_app.jobs.export import ExportReply, ExportRequest, export
from fl_app.jobs.registry import find
from tests.unit.provision.federation import SERVER, Federation

PATH = f"{JobGuard.__module__}.{JobGuard.__qualname__}"


def guards_in(file: Path) -> list[Any]:
    return [one for one in json.loads(file.read_text())["components"] if one["path"] == PATH]


def test_each_kit_adds_the_guard_to_every_job(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    federation.provision()
    for kit in (SERVER, "site-1"):
        file = federation.workspace.kit(kit) / "local" / "privacy.json"
        assert len(guards_in(file)) == 1


def test_a_recipe_of_the_kit_adds_the_guard_for_the_simulator(tmp_path: Path) -> None:
    request = ExportRequest(parameters={}, sites=("site-1", "site-2"), only_these=False, folder=tmp_path)
    made = export(find("probe"), request).folder
    assert made is not None
    for config in ("config_fed_server.json", "config_fed_client.json"):
        assert len(guards_in(made / "app" / "config" / config)) == 1


def test_submit_reports_every_silent_failure_in_a_configuration(tmp_path: Path) -> None:
    persistor = "nvflare.app_common.np.np_model_persistor.NPModelPersistor"
    mlflow = "nvflare.app_opt.tracking.mlflow.mlflow_receiver.MLflowReceiver"
    components = [
        {"id": "persistor", "path": persistor, "args": {}},
        {"id": "receiver", "path": mlflow, "args": {"tracking_uri": "file:///runs"}},
    ]
    (tmp_path / "app" / "config").mkdir(parents=True)
    file = tmp_path / "app" / "config" / "config_fed_server.json"
    file.write_text(json.dumps({"components": components}))
    with pytest.raises(InputError) as refused:
        refuse_silent_failures(ExportReply(folder=tmp_path))
    assert len(refused.value.messages) == 2
    assert "no initial model" in refused.value.messages[0]
    assert "file:///runs is a folder" in refused.value.messages[1]
