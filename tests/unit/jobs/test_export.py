"""A job put together in its own process: NVFlare's job folder, without code in it, for the sites that take
part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.errors import InputError
from deploy.session.parameters import find_job, read_parameters
from deploy.session.submission import Participants, exporter
from fl_app.jobs.export import ExportReply

SITES = ("site-1", "site-2")


def put_together(
    into: Path, *settings: str, sites: tuple[str, ...] = SITES, chosen: bool = False
) -> ExportReply:
    job = find_job("probe")
    with exporter(job) as making:
        return making.export(read_parameters(job, settings), Participants(sites, chosen), into)


def test_an_exported_job_carries_its_parameters_and_no_code(tmp_path: Path) -> None:
    reply = put_together(tmp_path, "rounds=7", "seconds=0.5")

    app = reply.folder / "app"
    server = json.loads((app / "config" / "config_fed_server.json").read_text())
    client = json.loads((app / "config" / "config_fed_client.json").read_text())
    assert server["workflows"][0]["args"]["num_rounds"] == 7
    assert server["server"] == {"task_request_interval": 0.1}
    assert client["executors"][0]["executor"]["path"] == "fl_app.jobs.probe.client.Probe"
    assert client["executors"][0]["executor"]["args"]["seconds"] == 0.5
    assert not (app / "custom").exists()
    assert reply.min_clients == 2


def test_a_job_for_some_sites_is_deployed_to_them_and_the_server_alone(tmp_path: Path) -> None:
    reply = put_together(tmp_path, sites=("site-2",), chosen=True)
    meta = json.loads((reply.folder / "meta.json").read_text())
    assert meta["deploy_map"] == {"app": ["server", "site-2"]}
    assert meta["min_clients"] == 1


def test_what_the_recipe_refuses_is_told_as_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="the job probe refuses this: failing_site=site-9 is none of the sites"
    ):
        put_together(tmp_path, "failing_site=site-9")
