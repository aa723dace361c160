"""Certificates are issued as project.yml requires, and reported before they expire."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

from deploy.errors import InputError
from deploy.provision import AUTHORITY, ensure_provisioned
from tests.unit.provision.federation import ADMIN, SERVER, Federation, assert_valid


def hosts(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)


def attribute(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    return str(certificate.subject.get_attributes_for_oid(oid)[0].value)


def in_days(days: float) -> datetime:
    return datetime.now(timezone.utc) + timedelta(days=days)


@pytest.fixture
def long_lived(tmp_path: Path) -> Federation:
    """A federation whose authority is valid for longer than its certificates (360 days)."""
    federation = Federation(tmp_path, "site-1")
    federation.set_root_validity(3650)
    federation.provision()
    return federation


def test_every_key_is_rsa_with_2048_bits(untouched: Federation) -> None:
    for name in (SERVER, "site-1", ADMIN):
        key = untouched.certificate(name).public_key()
        assert isinstance(key, RSAPublicKey)
        assert key.key_size == 2048


def test_a_changed_default_host_renews_the_servers_certificate_and_every_kit(federation: Federation) -> None:
    site = federation.certificate("site-1")
    federation.entry(SERVER)["default_host"] = "other.example.org"

    report = federation.provision()

    reasons = {one.name: one.reason for one in report.renewed}
    assert reasons[SERVER] == f"its host names were {SERVER} and are now other.example.org, {SERVER}"
    assert set(reasons) == {SERVER, "site-1", "site-2", ADMIN}
    assert hosts(federation.certificate(SERVER)) == ["other.example.org", SERVER]
    assert federation.certificate("site-1") == site
    fed_client = federation.read("site-1", "startup/fed_client.json")
    assert fed_client["servers"][0]["service"]["target"] == "other.example.org:8002"


def test_an_additional_host_name_renews_only_the_server(federation: Federation) -> None:
    others = federation.files("site-1", "site-2", ADMIN)
    federation.entry(SERVER)["host_names"] = ["10.0.0.7", "inside.example.org"]

    report = federation.provision()

    assert [one.name for one in report.renewed] == [SERVER]
    assert hosts(federation.certificate(SERVER)) == [SERVER, "inside.example.org"]
    assert federation.files("site-1", "site-2", ADMIN) == others


@pytest.mark.parametrize(
    ("name", "change", "reason", "oid"),
    [
        ("site-1", {"org": "city"}, "its organization was county and is now city", NameOID.ORGANIZATION_NAME),
        (ADMIN, {"role": "lead"}, "its role was project_admin and is now lead", NameOID.UNSTRUCTURED_NAME),
    ],
)
def test_a_changed_organization_or_role_renews_that_certificate_only(
    federation: Federation, name: str, change: dict[str, str], reason: str, oid: x509.ObjectIdentifier
) -> None:
    others = federation.files("site-2", SERVER)
    federation.entry(name).update(change)

    (renewed,) = federation.provision().renewed

    assert (renewed.name, renewed.reason) == (name, reason)
    assert [attribute(federation.certificate(name), oid)] == [*change.values()]
    assert federation.files("site-2", SERVER) == others


def test_a_certificate_that_expires_soon_is_reported_and_kept(long_lived: Federation) -> None:
    before = long_lived.files(SERVER, "site-1", ADMIN)

    report = long_lived.provision(now=in_days(335))

    assert {one.name for one in report.expiring} == {SERVER, "site-1", ADMIN}
    assert not report.changed
    assert long_lived.files(SERVER, "site-1", ADMIN) == before


def test_renewal_issues_expiring_certificates_again_under_the_same_authority(long_lived: Federation) -> None:
    before = long_lived.certificate("site-1")
    root = long_lived.authority("site-1")

    report = long_lived.provision(renew=True, now=in_days(335))

    assert {one.name for one in report.renewed} == {SERVER, "site-1", ADMIN}
    assert report.renewed[0].reason.startswith("its certificate expires ")
    assert report.expiring == ()
    assert long_lived.certificate("site-1").serial_number != before.serial_number
    assert long_lived.authority("site-1") == root
    assert_valid(long_lived.workspace.kit("site-1"))


def test_certificates_with_more_than_30_days_left_are_not_reported_and_kept(long_lived: Federation) -> None:
    assert long_lived.provision(now=in_days(325)).expiring == ()
    assert not long_lived.provision(renew=True).changed


def test_renewal_of_an_expiring_authority_rebuilds_every_kit(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    federation.set_root_validity(20)
    federation.provision()
    root = federation.authority("site-1")
    assert AUTHORITY in {one.name for one in federation.provision().expiring}

    report = federation.provision(renew=True)

    assert [one.name for one in report.renewed] == [AUTHORITY, SERVER, "site-1", ADMIN]
    assert {one.reason.partition(":")[0] for one in report.renewed} == {"a new certificate authority"}
    for name in (SERVER, "site-1", ADMIN):
        assert federation.authority(name) != root
        assert_valid(federation.workspace.kit(name))


def test_an_expired_authority_signs_no_certificate(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    federation.set_root_validity(1)
    federation.provision()
    federation.add("site-2")

    with pytest.raises(
        InputError, match=r"authority of hospitals expired .*certificates for site-2.*--renew"
    ):
        federation.provision(now=in_days(2))


def test_expired_certificates_are_refused(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    federation.provision()
    state = federation.workspace.state / "cert.json"
    content = json.loads(state.read_text())
    content["site-1"]["issued"]["expires"] = in_days(-1).isoformat()
    state.write_text(json.dumps(content))

    with pytest.raises(InputError, match=r"Certificates have expired: site-1 .*provision --renew"):
        ensure_provisioned(federation.project, federation.workspace)


def test_a_lost_authority_is_replaced_only_by_renewal(federation: Federation) -> None:
    (federation.workspace.state / "cert.json").unlink()

    with pytest.raises(InputError, match=r"cert.json is missing.*Restore the file.*--renew"):
        federation.provision()
    report = federation.provision(renew=True)

    assert report.renewed[0].name == AUTHORITY
    assert_valid(federation.workspace.kit("site-1"))


def test_a_state_folder_that_was_moved_away_is_replaced_by_a_new_authority(
    federation: Federation, tmp_path: Path
) -> None:
    root = federation.authority("site-1")
    federation.workspace.state.rename(tmp_path / "old-state")

    report = federation.provision()

    assert [one.name for one in report.renewed] == [AUTHORITY, SERVER, "site-1", "site-2", ADMIN]
    assert report.renewed[0].reason.endswith("state was moved away")
    for name in (SERVER, "site-1", ADMIN):
        assert federation.authority(name) != root
        assert_valid(federation.workspace.kit(name))
    released = federation.workspace.release / "site-1" / "key" / "client.key"
    assert (
        released.read_bytes() == (federation.workspace.kit("site-1") / "startup" / "client.key").read_bytes()
    )
    assert not federation.provision().changed


def test_nvflares_provisioner_continues_from_our_state(federation: Federation, tmp_path: Path) -> None:
    stock = tmp_path / "stock" / "hospitals"
    stock.mkdir(parents=True)
    federation.workspace.state.rename(stock / "state")
    assert federation.project.name

    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "nvflare"), "provision", "--force",
            "-p", "project.yml", "-w", "stock",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    ours = (federation.workspace.kit("site-1") / "startup" / "client.crt").read_bytes()
    assert (stock / "prod_00" / "site-1" / "startup" / "client.crt").read_bytes() == ours
