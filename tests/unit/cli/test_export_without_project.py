"""`flarefleet export` without a project.yml."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.cli.context import Context
from deploy.cli.submit import _sites_of_federation
from deploy.errors import InputError
from tests.federation.project_file import write_project


def test_without_a_project_and_a_kit_the_sites_must_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"--site NAME; or your kit, .*: --admin-kit"):
        _sites_of_federation(Context(tmp_path / "project.yml", tmp_path), None)


def test_the_sites_are_those_of_project_yml(tmp_path: Path) -> None:
    assert _sites_of_federation(Context(write_project(tmp_path, sites=2), tmp_path), None) == (
        "site-1",
        "site-2",
    )
