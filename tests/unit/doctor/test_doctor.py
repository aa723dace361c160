"""What `flarefleet doctor` finds, for an operator, a site and a data scientist."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.ports import free_ports
from fl_app.contract import CONTAINER_UID
from tests.federation.certificates import reissue
from tests.unit.checks.servers import tls_server
from tests.unit.provision.federation import ADMIN, SERVER, Federation

Checks = dict[str, dict[str, Any]]


def doctor(*words: object, code: int) -> Checks:
    """Run the command and return its checks by name."""
    answer = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert answer.exit_code == code, (answer.output, answer.exception)
    document = json.loads(answer.stdout)
    assert document["ok"] is (code == 0)
    return {check["name"]: check for check in document["checks"]}


def operator(federation: Federation, *options: str, code: int) -> Checks:
    project = federation.project.path
    workspace = federation.folder / "workspace"
    return doctor("--project", project, "--workspace", workspace, "doctor", *options, code=code)


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))


@pytest.fixture
def local(federation: Federation) -> Federation:
    """A provisioned federation whose server is this machine, on a free port."""
    server = federation.entry(SERVER)
    server["default_host"], server["host_names"] = "localhost", ["127.0.0.1"]
    server["fed_learn_port"] = free_ports(1)[0]
    federation.provision()
    return federation


def test_a_provisioned_federation_has_no_errors_without_docker_or_a_cluster(local: Federation) -> None:
    found = operator(local, code=0)

    assert (
        found["project"]["status"]
        == found["provisioned"]["status"]
        == found["process-ports"]["status"]
        == "ok"
    )
    assert found["docker-engine"]["status"] == found["kubeconfig"]["status"] == "warning"
    assert found["docker-ports"]["detail"] == "not checked, because docker-engine failed"
    assert found["sites-ready"]["status"] == "skipped"
    assert found["docker-server-name"]["detail"] == f"the server's name is {SERVER}"
    assert found["project"]["documentation"] == "docs/doctor.md#project"


def test_what_a_chosen_runtime_lacks_is_an_error(local: Federation) -> None:
    found = operator(local, "--runtime", "docker", code=1)

    assert found["docker-engine"]["status"] == "error"
    assert "No Docker engine answers" in found["docker-engine"]["detail"]
    assert "kubeconfig" not in found
    assert "process-ports" not in found


def test_an_exposed_key_an_outdated_kit_and_a_used_port_are_errors(local: Federation) -> None:
    exposed = local.workspace.state / "cert.json"
    exposed.chmod(0o644)
    replaced = local.workspace.root / "state.replaced-20261130T200000.0Z"  # as restore keeps it
    shutil.copytree(local.workspace.state, replaced)
    local.entry("site-2")["org"] = "city"
    with socket.create_server(("", local.entry(SERVER)["fed_learn_port"])):
        found = operator(local, code=1)

    for file in (exposed, replaced / "cert.json"):
        assert str(file) in found["key-permissions"]["detail"]
    assert "Run: flarefleet provision" in found["provisioned"]["detail"]
    assert found["process-ports"]["status"] == "error"


def test_certificates_that_expire_soon_and_keys_without_a_backup_are_warnings(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1")
    federation.set_root_validity(20)
    federation.provision()

    found = operator(federation, "--runtime", "kubernetes", code=1)  # there is no cluster

    assert found["certificates-expiry"]["status"] == "warning"
    assert "site-1 (" in found["certificates-expiry"]["detail"]
    assert found["backup"]["status"] == "warning"


def test_a_backup_is_current_until_a_key_changes(local: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    from deploy.backup import encryption, state

    monkeypatch.setattr(encryption, "SCRYPT_N", 2**10)
    state.back_up(local.project, local.workspace, local.folder / "backup", "p" * 12)
    assert operator(local, code=0)["backup"]["status"] == "ok"

    local.add("site-3")
    local.provision()
    assert operator(local, code=0)["backup"]["status"] == "warning"


def test_an_invalid_project_is_reported_and_what_depends_on_it_is_skipped(federation: Federation) -> None:
    file = federation.project.path
    file.write_text(file.read_text().replace("fed_learn_port", "fed_learn_prot"))

    found = doctor("--project", file, "--workspace", federation.folder / "workspace", "doctor", code=1)

    assert "did you mean fed_learn_port?" in found["project"]["detail"]
    assert found["provisioned"]["detail"] == "not checked, because project failed"
    assert found["disk-space"]["status"] == "ok"


def test_without_project_yml_the_message_names_the_options_of_a_site_and_a_data_scientist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    detail = doctor("doctor", code=1)["project"]["detail"]

    assert "--release FOLDER" in detail
    assert "--admin-kit FOLDER" in detail


@dataclass(frozen=True)
class HandedOut:
    """What a site and a data scientist got, copied elsewhere, and the server that they connect to."""

    release: Path
    admin_kit: Path
    federation: Federation


@pytest.fixture
def handed_out(local: Federation, tmp_path: Path) -> Iterator[HandedOut]:
    release, kit = tmp_path / "from-the-operator", tmp_path / "my-kit"
    shutil.copytree(local.workspace.release / "site-1", release)
    shutil.copytree(local.workspace.kit(ADMIN), kit)
    server = local.workspace.kit(SERVER)
    with tls_server(server) as port:
        (release / "own.yaml").write_text(f'server: {{address: "localhost:{port}"}}\n')
        config = kit / "startup" / "fed_admin.json"
        document = json.loads(config.read_text())
        document["admin"] |= {"host": "localhost", "port": port}
        config.write_text(json.dumps(document))
        shutil.rmtree(local.folder / "workspace")
        yield HandedOut(release, kit, local)


def test_a_site_needs_only_its_release_folder(handed_out: HandedOut, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(handed_out.release)

    found = doctor("doctor", code=0)

    assert "the kit of site-1 (client) in hospitals" in found["release-folder"]["detail"]
    for name in ("key-files", "private-key", "certificate", "certificate-expiry", "server-certificate"):
        assert found[name]["status"] == "ok", found[name]
    assert found.keys().isdisjoint({"project", "provisioned"})


def test_a_data_scientist_needs_only_the_startup_kit(handed_out: HandedOut) -> None:
    found = doctor("doctor", "--admin-kit", handed_out.admin_kit, code=0)

    assert f"the kit of {ADMIN}" in found["admin-kit"]["detail"]
    release = handed_out.admin_kit.parent / "release" / ADMIN
    release.mkdir(parents=True)
    shutil.copytree(handed_out.admin_kit, release / "kit")
    assert doctor("doctor", "--admin-kit", release, code=0)["admin-kit"]["status"] == "ok"
    assert found["server-certificate"]["status"] == "ok"


def test_the_kit_is_also_found_in_the_environment_or_in_the_working_directory(
    handed_out: HandedOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(handed_out.admin_kit)
    assert doctor("doctor", code=0)["admin-kit"]["status"] == "ok"

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("FLAREFLEET_ADMIN_KIT", str(handed_out.admin_kit))
    assert doctor("doctor", code=0)["admin-kit"]["status"] == "ok"


def test_a_site_whose_files_are_wrong_learns_which(handed_out: HandedOut, tmp_path: Path) -> None:
    key = handed_out.release / "key" / "client.key"
    key.chmod(0o644)
    key.write_bytes((handed_out.admin_kit / "startup" / "client.key").read_bytes())
    (handed_out.release / "own.yaml").write_text('server: {address: "no-such-server.invalid:8002"}\n')

    found = doctor("doctor", "--release", handed_out.release, code=1)

    assert f"other users may read {key}. Restrict it: chmod 600" in found["key-files"]["detail"]
    assert "does not match the certificate" in found["private-key"]["detail"]
    assert "no-such-server.invalid does not resolve" in found["server-name"]["detail"]
    assert found["server-port"]["status"] == found["server-certificate"]["status"] == "skipped"
    assert doctor("doctor", "--release", tmp_path, code=1)["release-folder"]["status"] == "error"


def test_a_key_that_only_the_container_may_read_is_not_checked(
    handed_out: HandedOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = handed_out.release / "key" / "client.key"
    os.chown(key, CONTAINER_UID, CONTAINER_UID)
    may_access = os.access
    monkeypatch.setattr(os, "access", lambda file, mode: file != key and may_access(file, mode))
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", None)  # root could read the key

    found = doctor("doctor", "--release", handed_out.release, code=0)

    assert found["private-key"]["status"] == "skipped"
    assert "10001" in found["private-key"]["detail"]
    assert found["certificate"]["status"] == found["server-certificate"]["status"] == "ok"


def test_a_site_without_its_key_is_told_to_ask_the_operator(handed_out: HandedOut) -> None:
    (handed_out.release / "key" / "client.key").unlink()

    detail = doctor("doctor", "--release", handed_out.release, code=1)["private-key"]["detail"]

    assert "Ask the operator" in detail
    assert "FLARE_KEY" not in detail


def test_without_a_checkout_no_file_of_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("deploy.cli.doctor.IS_CHECKOUT", False)

    answer = CliRunner().invoke(app, ["doctor"])

    assert "see doctor.md#project in the documentation" in answer.stdout
    assert "docs/" not in answer.stdout


def test_a_service_of_a_cluster_is_not_looked_up_on_a_workstation(handed_out: HandedOut) -> None:
    (handed_out.release / "own.yaml").write_text('server: {address: "flare-server.flare.svc:8002"}\n')

    found = doctor("doctor", "--release", handed_out.release, code=0)

    assert found["server-name"]["status"] == "skipped"
    assert "helm test" in found["server-certificate"]["detail"]


def test_a_proxy_that_intercepts_tls_is_detected(handed_out: HandedOut, tmp_path: Path) -> None:
    proxy = Federation(tmp_path / "proxy", "site-1")
    proxy.folder.mkdir()
    proxy.document = handed_out.federation.document
    proxy.provision()
    with tls_server(proxy.workspace.kit(SERVER)) as port:
        (handed_out.release / "own.yaml").write_text(f'server: {{address: "localhost:{port}"}}\n')

        found = doctor("doctor", "--release", handed_out.release, code=1)

    assert found["server-port"]["status"] == "ok"
    assert "a proxy intercepts the connection" in found["server-certificate"]["detail"]


def test_an_expired_and_an_incomplete_admin_kit_are_errors(local: Federation, tmp_path: Path) -> None:
    kit = local.workspace.kit(ADMIN)
    reissue(local.workspace, kit / "startup" / "client.crt", -30, -2)
    assert "expired on" in doctor("doctor", "--admin-kit", kit, code=1)["certificate"]["detail"]

    (kit / "startup" / "rootCA.pem").unlink()
    found = doctor("doctor", "--admin-kit", kit, code=1)
    assert "rootCA.pem is missing" in found["admin-kit"]["detail"]
    assert found["certificate"]["status"] == "skipped"


def test_the_text_has_a_remedy_and_a_link_for_each_error(local: Federation) -> None:
    (local.workspace.state / "cert.json").chmod(0o644)
    words = ["--project", str(local.project.path), "--workspace", str(local.folder / "workspace"), "doctor"]

    answer = CliRunner().invoke(app, words)

    lines = answer.stdout.splitlines()
    (line,) = [number for number, line in enumerate(lines) if line.startswith("  error")]
    assert "chmod go= FILE" in lines[line]
    assert lines[line + 1].strip() == "see docs/doctor.md#key-permissions"
    assert "1 error" in lines[-1]
    assert answer.exit_code == 1
