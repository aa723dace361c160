"""Export of a job: NVFlare's job folder, without code, for the participating sites."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.errors import InputError
from deploy.session.parameters import find_job, read_parameters
from deploy.session.submission import JobSites, export_process
from fl_app.jobs.export import ExportReply, ExportRequest, export
from fl_app.jobs.registry import find

SITES = ("site-1", "site-2")


def export_probe(into: Path, sites: tuple[str, ...] = SITES, **parameters: float) -> ExportReply:
    """Export the job `probe` in this process."""
    request = ExportRequest(parameters=parameters, sites=sites, only_these=sites != SITES, folder=into)
    return export(find("probe"), request)


def test_an_exported_job_contains_its_parameters_and_no_code(tmp_path: Path) -> None:
    reply = export_probe(tmp_path, rounds=7, seconds=0.5)

    app = reply.folder / "app"
    server = json.loads((app / "config" / "config_fed_server.json").read_text())
    client = json.loads((app / "config" / "config_fed_client.json").read_text())
    assert server["workflows"][0]["args"]["num_rounds"] == 7
    assert server["workflows"][0]["args"]["task_check_period"] == 0.05
    assert server["server"] == {"task_request_interval": 0.1}
    assert client["executors"][0]["executor"]["path"] == "fl_app.jobs.probe.client.Probe"
    assert client["executors"][0]["executor"]["args"]["seconds"] == 0.5
    assert not (app / "custom").exists()
    assert reply.min_clients == 2


def test_a_job_for_some_sites_is_deployed_to_them_and_the_server(tmp_path: Path) -> None:
    reply = export_probe(tmp_path, sites=("site-2",))
    meta = json.loads((reply.folder / "meta.json").read_text())
    assert meta["deploy_map"] == {"app": ["server", "site-2"]}
    assert meta["min_clients"] == 1


def test_a_job_with_a_quorum_names_its_sites_so_that_a_missing_one_may_join(tmp_path: Path) -> None:
    meta = json.loads((export_probe(tmp_path, quorum=1).folder / "meta.json").read_text())
    assert meta["deploy_map"] == {"app": ["server", "site-1", "site-2"]}
    assert meta["min_clients"] == 1


def test_parameters_that_the_recipe_rejects_are_an_input_error(tmp_path: Path) -> None:
    job = find_job("fibonacci")
    parameters = read_parameters(job, ['levels={"site-9": 3}'])
    message = "the job fibonacci rejects its parameters or sites: levels: site-9: not among the sites"
    with pytest.raises(InputError, match=message), export_process(job) as exporting:
        exporting.export(parameters, JobSites(SITES, chosen=False), tmp_path)
