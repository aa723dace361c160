"""The context of homomorphic encryption is made once, and each kit of the server and the sites has it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from nvflare.fuel.sec.security_content_service import LoadResult, SecurityContentManager
from typer.testing import CliRunner

from deploy.backup.state import back_up, restore
from deploy.cli.app import app
from deploy.errors import InputError, MachineError
from tests.unit.encryption.conftest import IMPORTS_TENSEAL
from tests.unit.provision.federation import ADMIN, SERVER, Federation

STATE = "he_context.json"


def context_of(federation: Federation, name: str) -> bytes:
    kind = "server" if name == SERVER else "client"
    return (federation.workspace.kit(name) / "startup" / f"{kind}_context.tenseal").read_bytes()


def test_nvflare_finds_a_signed_context_in_each_kit(untouched: Federation) -> None:
    for name in (SERVER, "site-1", "site-2"):
        startup = untouched.workspace.kit(name) / "startup"
        (context,) = startup.glob("*.tenseal")
        found = SecurityContentManager(str(startup)).load_content(context.name)
        assert found == (context_of(untouched, name), LoadResult.OK)
    assert context_of(untouched, "site-1") == context_of(untouched, "site-2")
    assert not list(untouched.workspace.kit(ADMIN).rglob("*.tenseal"))


def test_only_the_operator_can_read_the_contexts(untouched: Federation) -> None:
    holders = [*untouched.workspace.root.rglob("*.tenseal"), untouched.workspace.state / STATE]
    assert len(holders) == 3 + 3 + 1, "kits, release folders, state"
    assert {file.stat().st_mode & 0o777 for file in holders} == {0o600}


def test_a_site_that_is_added_later_has_the_context_of_the_others(federation: Federation) -> None:
    kept = federation.files(SERVER, "site-1")
    federation.add("site-3")

    report = federation.provision()

    assert report.created == ("site-3",)
    assert context_of(federation, "site-3") == context_of(federation, "site-1")
    assert federation.files(SERVER, "site-1") == kept
    assert federation.provision().unchanged == 5


def test_a_renewed_participant_keeps_the_context(federation: Federation) -> None:
    before = context_of(federation, "site-1")
    federation.entry("site-1")["org"] = "city"

    report = federation.provision(renew=True)

    assert [one.name for one in report.renewed] == ["site-1"]
    assert context_of(federation, "site-1") == before


def test_other_arguments_make_a_new_context_for_all(federation: Federation) -> None:
    before = context_of(federation, "site-1")
    federation.document["builders"][3]["args"] = {"poly_modulus_degree": 4096}

    federation.provision()

    assert context_of(federation, "site-1") == context_of(federation, "site-2") != before
    assert federation.provision().renewed == ()


def test_a_lost_context_is_replaced_only_on_request(federation: Federation) -> None:
    before = context_of(federation, "site-1")
    (federation.workspace.state / STATE).unlink()

    with pytest.raises(
        InputError, match=rf"{STATE} is missing, .* backup, or run `flarefleet provision --renew`"
    ):
        federation.provision()
    report = federation.provision(renew=True)

    assert {one.name for one in report.renewed} == {SERVER, "site-1", "site-2"}
    assert context_of(federation, "site-1") == context_of(federation, "site-2") != before


def test_a_damaged_context_is_refused(federation: Federation) -> None:
    (federation.workspace.state / STATE).write_text("{}")

    with pytest.raises(MachineError, match=f"{STATE} is damaged. .* Restore it from a backup"):
        federation.provision()


def test_a_backup_brings_the_context_back(federation: Federation, tmp_path: Path) -> None:
    before = context_of(federation, "site-1")
    back_up(federation.project, federation.workspace, tmp_path / "state.backup", "passphrase of nine words")
    (federation.workspace.state / STATE).unlink()
    federation.provision(renew=True)
    assert context_of(federation, "site-1") != before

    restore(
        *(federation.project, federation.workspace, tmp_path / "state.backup", "passphrase of nine words"),
        force=True,
    )
    federation.provision()

    assert context_of(federation, "site-1") == context_of(federation, "site-2") == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"poly_modulus_degree": 16384},
            "a Kubernetes Secret holds at most 900,000; use a lower poly_modulus",
        ),
        ({"poly_modulus_degree": 8191}, "encryption parameters are not set correctly"),
    ],
)
def test_arguments_without_a_usable_context_are_refused(
    federation: Federation, arguments: dict[str, int], message: str
) -> None:
    federation.document["builders"][3]["args"] = arguments
    before = federation.files()

    with pytest.raises(InputError, match=message):
        federation.provision()

    assert federation.files() == before


def test_without_tenseal_provisioning_says_what_to_install(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation.add("site-3")
    monkeypatch.setitem(sys.modules, "tenseal", None)
    for name in IMPORTS_TENSEAL:
        monkeypatch.delitem(sys.modules, name, raising=False)
    options = ["--project", str(federation.project.path), "--workspace", str(federation.folder / "workspace")]

    result = CliRunner().invoke(app, [*options, "provision"])

    assert isinstance(result.exception, InputError)
    assert "requires the package tenseal" in str(result.exception)
    assert "pip install tenseal" in str(result.exception)


def test_a_federation_without_the_builder_has_no_context(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    federation.provision()

    assert not list(federation.workspace.root.rglob("*.tenseal"))
    assert not list(federation.workspace.root.rglob("signature.json"))
    assert not (federation.workspace.state / STATE).exists()


def test_images_of_the_federation_have_tenseal(untouched: Federation) -> None:
    assert untouched.project.image.extras == ["he"]


def test_images_with_lerobot_have_no_tenseal(federation: Federation) -> None:
    federation.document["deployment"] = {"image": {"variant": "gpu", "extras": ["vla"]}}

    with pytest.raises(
        InputError, match=r"vla excludes other extras: .* run jobs of homomorphic encryption in another"
    ):
        federation.provision()
