"""A workspace that cannot be used is refused and stays unchanged."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from deploy.errors import MachineError
from deploy.federation_files import make_kits_and_releases
from tests.unit.provision.federation import Federation, files_in


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    root = federation.workspace.root
    root.mkdir(parents=True)
    (root / "thesis.tex").write_text("do not lose")

    with pytest.raises(MachineError, match=r"is not a workspace of Flarefleet \(it contains thesis.tex\)"):
        federation.provision()

    assert [Path(name).name for name in files_in(root)] == ["thesis.tex"]


def test_a_workspace_of_nvflare_is_refused(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    (federation.workspace.root / "prod_00").mkdir(parents=True)

    with pytest.raises(MachineError, match="is not a workspace of Flarefleet"):
        federation.provision()


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    federation.workspace.root.mkdir(parents=True)

    assert "site-1" in federation.provision().created


@pytest.mark.parametrize("folder", ["run", "demo"])
def test_a_folder_with_files_of_another_command_is_used(tmp_path: Path, folder: str) -> None:
    federation = Federation(tmp_path, "site-1")
    (federation.workspace.root / folder).mkdir(parents=True)

    assert "site-1" in federation.provision().created


def test_a_workspace_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "workspace").write_text("")

    with pytest.raises(MachineError, match=r"workspace.*(Not a directory|File exists)"):
        Federation(tmp_path, "site-1").provision()


def test_a_project_folder_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "hospitals").write_text("")

    with pytest.raises(MachineError, match=r"hospitals.*File exists"):
        Federation(tmp_path, "site-1").provision()


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "workspace").symlink_to("/proc/sys")  # not even root can create a folder there

    with pytest.raises(MachineError, match="workspace"):
        Federation(tmp_path, "site-1").provision()


def test_a_full_disk_is_reported_and_changes_nothing(federation: Federation) -> None:
    before = federation.files()
    federation.add("site-3")
    project = federation.project
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(MachineError, match=r"File too large\. .* is unchanged"):
            make_kits_and_releases(project, federation.workspace)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert federation.files() == before
    assert federation.provision().created == ("site-3",)
