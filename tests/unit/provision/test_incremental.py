"""A second provisioning changes only what project.yml changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deploy.checkout import CHECKOUT
from deploy.errors import InputError, MachineError
from deploy.provision import content, ensure_provisioned
from tests.unit.provision.federation import ADMIN, SERVER, Federation, assert_valid


def test_the_first_run_creates_every_kit(untouched: Federation) -> None:
    for name in (SERVER, "site-1", "site-2", ADMIN):
        assert_valid(untouched.workspace.kit(name))
    ensure_provisioned(untouched.project, untouched.workspace)


def test_a_run_without_changes_writes_nothing(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1", "site-2")
    federation.provision()
    before = federation.files()

    report = federation.provision()

    assert not report.changed
    assert report.unchanged == 4
    assert federation.files() == before


def test_a_new_site_leaves_every_other_kit_unchanged(federation: Federation) -> None:
    before = federation.files(SERVER, "site-1", "site-2", ADMIN)
    federation.add("site-3")

    report = federation.provision()

    assert report.created == ("site-3",)
    assert report.renewed == ()
    assert federation.files(SERVER, "site-1", "site-2", ADMIN) == before
    assert_valid(federation.workspace.kit("site-3"))


def test_the_servers_client_limit_grows_with_the_number_of_sites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.provision.content.MIN_CLIENTS", 2)
    federation = Federation(tmp_path, "site-1")
    federation.provision()
    assert federation.read(SERVER, "local/resources.json.default")["servers"][0]["max_num_clients"] == 2
    before = federation.files("site-1", ADMIN)
    federation.add("site-2")

    report = federation.provision()

    assert [one.name for one in report.renewed] == [SERVER]
    assert federation.read(SERVER, "local/resources.json.default")["servers"][0]["max_num_clients"] == 4
    assert federation.files("site-1", ADMIN) == before


@pytest.mark.parametrize(("sites", "limit"), [(1, 100), (80, 100), (81, 200), (160, 200), (1000, 1600)])
def test_the_servers_client_limit_exceeds_the_number_of_sites_by_a_quarter(sites: int, limit: int) -> None:
    assert content.max_clients(sites) == limit
    assert limit >= sites * 1.25


def test_a_changed_description_changes_no_kit(federation: Federation) -> None:
    federation.document["description"] = "another"

    assert not federation.provision().changed


@pytest.mark.parametrize(
    ("change", "reason", "key", "value"),
    [
        (
            lambda it: it.entry(SERVER).update(fed_learn_port=9002),
            "the server's entry in project.yml has changed",
            "target",
            f"{SERVER}:9002",
        ),
        (
            lambda it: it.document["builders"][1]["args"].update(scheme="http"),
            "the builders have changed",
            "scheme",
            "http",
        ),
    ],
    ids=["a port", "arguments of a builder"],
)
def test_a_setting_of_all_kits_updates_every_kit_and_no_certificate(
    federation: Federation, change, reason: str, key: str, value: str
) -> None:
    before = {name: federation.certificate(name) for name in (SERVER, "site-1", ADMIN)}
    change(federation)

    report = federation.provision()

    assert {one.name for one in report.renewed} == {SERVER, "site-1", "site-2", ADMIN}
    assert reason in {one.reason for one in report.renewed}
    assert federation.read("site-1", "startup/fed_client.json")["servers"][0]["service"][key] == value
    assert {name: federation.certificate(name) for name in before} == before


def test_an_allowed_component_updates_the_kits_of_the_server_and_of_every_site(
    federation: Federation,
) -> None:
    federation.document["deployment"] = {"allowed_components": ["my_package.Median"]}

    report = federation.provision()

    assert {one.name for one in report.renewed} == {SERVER, "site-1", "site-2"}
    assert {one.reason for one in report.renewed} == {"the components that jobs may use have changed"}
    for name in (SERVER, "site-1"):
        assert (
            federation.read(name, "local/resources.json.default")["class_allow_list"][-1]
            == "my_package.Median"
        )


def test_sites_send_their_logs_only_if_the_operator_shares_them(federation: Federation) -> None:
    def streamed() -> list[str]:
        components = federation.read("site-1", "local/resources.json.default")["components"]
        streamers = [one for one in components if one["path"].endswith(".SiteLogStreamer")]
        return [one["args"].get("log_file_name", "log.txt") for one in streamers]

    def accepted() -> list[str] | None:
        components = federation.read(SERVER, "local/resources.json.default")["components"]
        receiver = next(one for one in components if one["id"] == "log_receiver")
        files: list[str] | None = receiver["args"].get("files")
        return files

    assert (streamed(), accepted()) == (["error_log.txt"], ["error_log.txt"])
    federation.document["deployment"] = {"logs": "shared"}

    report = federation.provision()

    assert {one.name for one in report.renewed} == {SERVER, "site-1", "site-2"}
    assert {one.reason for one in report.renewed} == {"whether sites share their logs of jobs has changed"}
    assert (streamed(), accepted()) == (["log.txt", "error_log.txt"], None)


def test_a_missing_kit_is_built_again_with_the_same_content(federation: Federation) -> None:
    before = federation.files("site-1")
    shutil.rmtree(federation.workspace.kit("site-1"))

    report = federation.provision()

    assert [(one.name, one.reason) for one in report.renewed] == [("site-1", "its kit was missing")]
    assert {name: file[0] for name, file in federation.files("site-1").items()} == {
        name: file[0] for name, file in before.items()
    }


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda file: file.unlink(), "was missing"),
        (lambda file: file.write_text("{}"), "had been changed"),
        (lambda file: file.write_bytes(file.read_bytes().replace(b"grpc", b"http")), "had been changed"),
        (lambda file: (file.unlink(), file.mkdir()), "was not a file"),
    ],
    ids=["removed", "emptied", "same size", "a folder"],
)
def test_a_damaged_file_is_repaired(federation: Federation, damage, reason: str) -> None:
    file = federation.workspace.kit("site-1") / "startup" / "fed_client.json"
    content = file.read_bytes()
    other = federation.files("site-2")
    damage(file)

    report = federation.provision()

    assert [(one.name, one.reason) for one in report.renewed] == [
        ("site-1", f"startup/fed_client.json {reason}")
    ]
    assert file.read_bytes() == content
    assert federation.files("site-2") == other


def test_a_key_that_others_can_read_is_restricted_again(federation: Federation) -> None:
    key = federation.workspace.kit("site-1") / "startup" / "client.key"
    key.chmod(0o644)

    report = federation.provision()

    assert report.renewed[0].reason == "startup/client.key was readable by others"
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_copied_workspace_is_up_to_date(federation: Federation) -> None:
    root = federation.workspace.root
    shutil.copytree(root, root.with_name("copy"), copy_function=shutil.copyfile)
    shutil.rmtree(root)
    root.with_name("copy").rename(root)
    for file in root.rglob("*.key"):
        file.chmod(0o600)

    assert not federation.provision().changed


def test_files_added_to_a_kit_are_kept_when_it_is_built_again_and_released(federation: Federation) -> None:
    local = federation.workspace.kit("site-1") / "local"
    (local / "custom").mkdir()
    (local / "custom" / "filters.py").write_text("ours = True\n")
    (local / "resources.json").write_text('{"ours": 1}')
    federation.entry(SERVER)["fed_learn_port"] = 9002

    federation.provision()

    released = federation.workspace.release / "site-1" / "kit" / "local"
    for folder in (local, released):
        assert (folder / "custom" / "filters.py").read_text() == "ours = True\n"
        assert (folder / "resources.json").read_text() == '{"ours": 1}'
    assert "9002" in (local.parent / "startup" / "fed_client.json").read_text()


@pytest.mark.parametrize(
    "module",
    ["deploy/provision/builders.py", "deploy/provision/local.py", "fl_app/nvflare_internals/provisioning.py"],
)
def test_a_change_of_a_module_that_writes_kits_changes_their_digest(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    read, before = Path.read_bytes, content._program()
    changed = CHECKOUT / module
    monkeypatch.setattr(Path, "read_bytes", lambda it: b"" if it.resolve() == changed else read(it))

    assert content._program.__wrapped__() != before


def test_a_kit_of_another_version_is_built_again_with_the_same_key(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = federation.certificate("site-1")
    monkeypatch.setattr("deploy.provision.content.flarefleet_version", lambda: "99.0")

    report = federation.provision()

    assert len(report.renewed) == 4
    assert "Flarefleet" in report.renewed[0].reason
    assert federation.certificate("site-1") == before


def test_a_federation_that_was_not_provisioned_is_refused(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")

    with pytest.raises(InputError, match=r"has not been provisioned in .*Run: flarefleet provision"):
        ensure_provisioned(federation.project, federation.workspace)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda it: it.add("site-3"), "site-3: it has no kit yet"),
        (lambda it: it.remove("site-2"), "site-2: project.yml no longer has it"),
        (
            lambda it: it.entry("site-1").update(org="other"),
            "site-1: its organization was county and is now other",
        ),
        (lambda it: shutil.rmtree(it.workspace.kit("site-1")), "site-1: its kit was missing"),
    ],
    ids=["a new site", "a removed site", "a changed org", "a missing kit"],
)
def test_outdated_kits_are_refused(federation: Federation, change, reason: str) -> None:
    change(federation)

    with pytest.raises(InputError, match=f"{reason}.*flarefleet provision"):
        ensure_provisioned(federation.project, federation.workspace)


def test_damaged_certificates_are_not_replaced(federation: Federation) -> None:
    (federation.workspace.state / "cert.json").write_text("{")

    with pytest.raises(MachineError, match=r"cert.json is damaged .* Restore it"):
        federation.provision()


def test_a_damaged_record_of_kits_builds_them_again_with_the_same_keys(federation: Federation) -> None:
    before = federation.certificate("site-1")
    (federation.workspace.state / "kits.json").write_text("{")

    federation.provision()

    assert federation.certificate("site-1") == before
    assert not federation.provision().changed
