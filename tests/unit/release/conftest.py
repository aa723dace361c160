"""A provisioned federation with release folders: shared and read-only, or a copy for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from deploy.release import update_releases
from deploy.workspace import Workspace
from tests.unit.provision.federation import SERVER, Federation

DEPLOYMENT = """\
image: {registry: registry.example.org/flare, tag: "1.2.3", variant: gpu}
sites:
  site-1:
    namespace: county-flare
    gpus: 2
    storage: 200Gi
    launcher: pod
    resources: {limits: {memory: 8Gi}}
    datasets: {training: {claim: county-data, mode: ro}}
"""


@pytest.fixture(scope="package")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """A provisioned federation, shared and read-only."""
    federation = Federation(tmp_path_factory.mktemp("release"), "site-1", "site-2")
    federation.entry(SERVER).update(fed_learn_port=8443, admin_port=8444)
    federation.document["deployment"] = yaml.safe_load(DEPLOYMENT)
    federation.provision()
    return federation


@pytest.fixture
def federation(provisioned: Federation, tmp_path: Path) -> Federation:
    """A copy of the provisioned federation with up-to-date releases."""
    shutil.copytree(provisioned.folder / "workspace", tmp_path / "workspace")
    copy = provisioned.copy_to(tmp_path)
    update_all(copy)
    return copy


def update_all(federation: Federation) -> list[str]:
    return update_releases(federation.project, federation.workspace)


def values_of(workspace: Workspace, name: str) -> dict:
    return yaml.safe_load((workspace.release / name / "values.yaml").read_text())
