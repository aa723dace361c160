"""A workspace that cannot be used is refused and stays unchanged."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import MachineError
from deploy.federation_files import make_kits_and_releases
from tests.unit.provision.federation import Federation, files_in


@pytest.mark.parametrize("foreign", ["thesis.tex", "prod_00/startup"])
def test_a_foreign_folder_or_a_workspace_of_nvflare_is_refused(tmp_path: Path, foreign: str) -> None:
    federation = Federation(tmp_path, "site-1")
    file = federation.workspace.root / foreign
    file.parent.mkdir(parents=True)
    file.write_text("do not lose")

    message = rf"is not a workspace of Flarefleet \(it contains {foreign.partition('/')[0]}\)"
    with pytest.raises(MachineError, match=message):
        federation.provision()

    assert files_in(federation.workspace.root).keys() == {str(file)}


@pytest.mark.parametrize("folder", ["", "run", "demo"])
def test_an_empty_folder_or_one_with_files_of_another_command_is_used(tmp_path: Path, folder: str) -> None:
    federation = Federation(tmp_path, "site-1")
    (federation.workspace.root / folder).mkdir(parents=True)

    assert "site-1" in federation.provision().created


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder.write_text(""), r"workspace.*(Not a directory|File exists)"),
        (lambda folder: (folder.mkdir(), (folder / "hospitals").touch()), r"hospitals.*File exists"),
        # Not even root can create a folder there.
        (lambda folder: folder.symlink_to("/proc/sys"), "workspace"),
    ],
    ids=["a file", "a project that is a file", "read-only"],
)
def test_an_unusable_workspace_is_reported(tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "workspace")

    with pytest.raises(MachineError, match=message):
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
