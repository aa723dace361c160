"""A workspace that cannot be used is refused with words, and left as it is."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from deploy.errors import MachineError
from tests.unit.provision.federation import Federation, look_at


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    root = federation.workspace.root
    root.mkdir(parents=True)
    (root / "thesis.tex").write_text("do not lose")

    with pytest.raises(MachineError, match=r"is not a workspace of Flarefleet \(it holds thesis.tex\)"):
        federation.provision()

    assert [Path(name).name for name in look_at(root)] == ["thesis.tex"]


def test_a_workspace_of_stock_nvflare_is_left_alone(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    (federation.workspace.root / "prod_00").mkdir(parents=True)

    with pytest.raises(MachineError, match="is not a workspace of Flarefleet"):
        federation.provision()


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    federation.workspace.root.mkdir(parents=True)

    assert "site-1" in federation.provision().created


@pytest.mark.parametrize("verb", ["run", "demo"])
def test_what_another_verb_left_there_before_is_no_hindrance(tmp_path: Path, verb: str) -> None:
    federation = Federation(tmp_path, "site-1")
    (federation.workspace.root / verb).mkdir(parents=True)

    assert "site-1" in federation.provision().created


def test_a_workspace_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "workspace").write_text("")

    with pytest.raises(MachineError, match=r"workspace.*(Not a directory|File exists)"):
        Federation(tmp_path, "site-1").provision()


def test_a_project_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "hospitals").write_text("")

    with pytest.raises(MachineError, match=r"hospitals.*File exists"):
        Federation(tmp_path, "site-1").provision()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "workspace").symlink_to("/proc/sys")  # not even root may make a folder there

    with pytest.raises(MachineError, match="workspace"):
        Federation(tmp_path, "site-1").provision()


def test_a_full_disk_changes_nothing_and_is_named(federation: Federation) -> None:
    before = {name: seen for name, seen in federation.seen().items() if "lock" not in name}
    federation.add("site-3")
    project = federation.project
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # a write that would make a file larger fails
    try:
        with pytest.raises(MachineError, match=r"File too large; .* is as it was"):
            from deploy.provision import provision

            provision(project, federation.workspace)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert {name: seen for name, seen in federation.seen().items() if "lock" not in name} == before
    assert federation.provision().created == ("site-3",)
