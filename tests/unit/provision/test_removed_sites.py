"""Sites that are removed from project.yml, and added again."""

from __future__ import annotations

from pathlib import Path

from tests.unit.provision.federation import ADMIN, SERVER, Federation


def test_the_kit_of_a_removed_site_is_moved_to_removed(federation: Federation) -> None:
    kit = {Path(name).name: file[0] for name, file in federation.files("site-2").items()}
    before = federation.files(SERVER, "site-1", ADMIN)
    federation.remove("site-2")

    report = federation.provision()

    (removed,) = report.removed
    assert removed.name == "site-2"
    assert removed.kit.parent == federation.workspace.removed
    assert (removed.kit / "startup" / "client.crt").read_bytes() == kit["client.crt"]
    assert removed.valid_until is not None
    assert not federation.workspace.kit("site-2").exists()
    assert not (federation.workspace.release / "site-2").exists()
    assert federation.files(SERVER, "site-1", ADMIN) == before


def test_files_added_to_the_release_folder_of_a_removed_site_are_kept(federation: Federation) -> None:
    added = ("own.yaml", "compose.override.yaml")
    for name in added:
        (federation.workspace.release / "site-2" / name).write_text(f"# {name} of the operator\n")
    federation.remove("site-2")

    federation.provision()

    (folder,) = federation.workspace.removed.glob("site-2-release-*")
    assert all((folder / name).read_text() == f"# {name} of the operator\n" for name in added)
    assert (folder / "key" / "client.key").is_file()


def test_a_folder_that_the_operator_added_to_release_stays(federation: Federation) -> None:
    (federation.workspace.release / "notes").mkdir()

    federation.provision()

    assert (federation.workspace.release / "notes").is_dir()


def test_a_site_that_is_added_again_gets_a_new_key(federation: Federation) -> None:
    before = federation.certificate("site-2")
    entry = federation.remove("site-2")
    federation.provision()
    assert "site-2" not in (federation.workspace.state / "cert.json").read_text()
    federation.document["participants"].append(entry)

    report = federation.provision()

    assert report.created == ("site-2",)
    assert federation.certificate("site-2").public_key() != before.public_key()
