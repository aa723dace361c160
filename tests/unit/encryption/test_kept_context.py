"""The context of homomorphic encryption is made once, and each kit of the server and the sites has it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from nvflare.fuel.sec.security_content_service import LoadResult, SecurityContentManager
from typer.testing import CliRunner

from deploy.backup.state import back_up, restore
from deploy.cli.app import app
from deploy.errors import InputError
from deploy.project.schema import EncryptionArguments
from tests.unit.encryption.conftest import IMPORTS_TENSEAL
from tests.unit.provision.federation import ADMIN, SERVER, Federation

STATE = "he_context.json"
OTHER = {"poly_modulus_degree": 4096}
NEW_KEY = "the federation gets a new key of homomorphic encryption"


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


@pytest.mark.parametrize("renew", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        {"poly_modulus_degree": 8192},
        {"coeff_mod_bit_sizes": [60, 40, 40], "scale_bits": 40},
        {"scheme": "CKKS"},
    ],
)
def test_a_default_that_is_written_out_keeps_the_context(
    federation: Federation, arguments: dict[str, Any], renew: bool
) -> None:
    before = context_of(federation, "site-1")
    federation.document["builders"][3]["args"] = arguments

    report = federation.provision(renew=renew)

    assert context_of(federation, "site-1") == before
    assert all("key of homomorphic" not in one.reason for one in report.renewed)


def test_the_defaults_are_those_of_nvflare() -> None:
    from nvflare.lighter.impl.he import HEBuilder

    builder = HEBuilder()

    assert EncryptionArguments().with_defaults() == {
        "poly_modulus_degree": builder.poly_modulus_degree,
        "coeff_mod_bit_sizes": builder.coeff_mod_bit_sizes,
        "scale_bits": builder.scale_bits,
        "scheme": "CKKS",
    }
    assert (
        EncryptionArguments(coeff_mod_bit_sizes=[]).with_defaults() == EncryptionArguments().with_defaults()
    )


def test_other_arguments_are_refused_with_what_a_new_key_means(federation: Federation) -> None:
    federation.document["builders"][3]["args"] = OTHER
    before = federation.files()

    with pytest.raises(InputError) as raised:
        federation.provision()

    for part in (
        f"{federation.project.path}: builders: ",
        "poly_modulus_degree was 8192 and is now 4096",
        "every site",
        "cannot be decrypted",
        "flarefleet provision --renew",
    ):
        assert part in str(raised.value)
    assert federation.files() == before


def test_renewal_makes_the_new_context_for_all_and_keeps_the_old_file(federation: Federation) -> None:
    before, state = context_of(federation, "site-1"), federation.workspace.state
    old = (state / STATE).read_bytes()
    federation.document["builders"][3]["args"] = OTHER
    federation.entry("site-2")["org"] = "city"

    report = federation.provision(renew=True)

    assert context_of(federation, "site-1") == context_of(federation, "site-2") != before
    reasons = {one.name: one.reason for one in report.renewed}
    assert {name for name, reason in reasons.items() if NEW_KEY in reason} == {SERVER, "site-1", "site-2"}
    assert "its organization was county" in reasons["site-2"]
    (kept,) = state.glob("he_context.replaced-*.json")
    assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (old, 0o600)
    assert federation.provision(renew=True).renewed == ()
    assert len(list(state.glob("he_context*"))) == 2


def test_a_moved_state_is_a_new_key_for_all_and_each_kit_says_so(federation: Federation) -> None:
    federation.workspace.state.rename(federation.folder / "moved")

    report = federation.provision()

    told = {one.name for one in report.renewed if "was moved away" in one.reason and NEW_KEY in one.reason}
    assert told == {SERVER, "site-1", "site-2"}


@pytest.mark.parametrize("kits", ["present", "deleted"])
def test_a_lost_context_is_replaced_only_on_request(federation: Federation, kits: str) -> None:
    before = context_of(federation, "site-1")
    (federation.workspace.state / STATE).unlink()
    if kits == "deleted":
        shutil.rmtree(federation.workspace.kits)

    with pytest.raises(
        InputError, match=rf"{STATE} is missing, .* backup, or run `flarefleet provision --renew`"
    ):
        federation.provision()
    report = federation.provision(renew=True)

    renewed = {one.name for one in report.renewed if NEW_KEY in one.reason}
    assert renewed == {SERVER, "site-1", "site-2"}
    assert context_of(federation, "site-1") == context_of(federation, "site-2") != before


def test_a_state_from_before_the_context_is_refused(federation: Federation, tmp_path: Path) -> None:
    with_context = federation.document["builders"].pop(3)
    federation.provision()
    (federation.workspace.state / STATE).unlink()
    phrase = "passphrase of nine words"
    back_up(federation.project, federation.workspace, tmp_path / "old.backup", phrase)
    federation.document["builders"].insert(3, with_context)
    federation.provision()
    before = context_of(federation, "site-1")
    restore(federation.project, federation.workspace, tmp_path / "old.backup", phrase, force=True)

    with pytest.raises(InputError, match=f"{STATE} is missing, but kits have"):
        federation.provision()

    assert context_of(federation, "site-1") == before


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
        federation.provision(renew=True)

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
        InputError,
        match=r"extras: vla excludes other extras: .* write extras: \[vla\], remove HEBuilder from builders, "
        r"and run jobs of homomorphic encryption in another",
    ):
        federation.provision()
