"""Every job of the kit can be exported for any sites, and NVFlare's server accepts it."""

from __future__ import annotations

from pathlib import Path

import pytest
from nvflare.apis.app_validation import AppValidationKey
from nvflare.fuel.utils.zip_utils import zip_directory_to_bytes
from nvflare.private.fed.server.job_meta_validator import JobMetaValidator

from fl_app.jobs.export import ExportRequest, export
from fl_app.jobs.registry import JobDescription, available

SITES = ("Zurich_1", "a-clinic", "z")
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("sites", [SITES[:2], SITES], ids=len)
@pytest.mark.parametrize("job", available(), ids=lambda job: job.name)
def test_nvflares_server_accepts_every_job_for_two_or_more_sites(
    job: JobDescription, sites: tuple[str, ...], tmp_path: Path
) -> None:
    if missing := job.missing():
        pytest.skip(missing)
    request = ExportRequest(parameters={}, sites=sites, only_these=False, folder=tmp_path)

    reply = export(job, request)

    assert reply.folder == tmp_path / job.name
    data = zip_directory_to_bytes(str(tmp_path), job.name)
    valid, error, meta = JobMetaValidator().validate(job.name, data)
    assert valid, error
    assert meta["name"] == job.name
    assert meta["min_clients"] <= len(sites)
    contains_code = bool(list(reply.folder.glob("*/custom/**/*.py")))
    assert bool(meta.get(AppValidationKey.BYOC)) == contains_code == (job.name == "numpy-fedavg")
    for config in reply.folder.glob("*/config/*.json"):
        assert str(ROOT) not in config.read_text(), "a path of this machine is invalid elsewhere"
