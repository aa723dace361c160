"""The content of a kit: NVFlare's files, those of the runtimes, and no secret that others can read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from deploy.project.allowed_components import DEFAULT
from deploy.provision.local import JOB_LOG_COMMANDS
from tests.unit.provision.federation import ADMIN, SERVER, Federation, certificate_of

OURS = {
    "local/comm_config.json",
    "local/flarefleet.json",
    "local/privacy.json",
    "local/study_runtime.yaml",
    "local/telemetry__p_resources.json",
}
MODIFIED = ("local/resources.json.default", "local/authorization.json.default")
RANDOM_SUFFIXES = (".crt", ".key", ".pem")


@pytest.fixture(scope="module")
def stock(untouched: Federation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kits that `nvflare provision` makes from the same project.yml."""
    folder = tmp_path_factory.mktemp("stock")
    (folder / "project.yml").write_text(yaml.safe_dump(untouched.document))
    subprocess.run(
        [str(Path(sys.executable).parent / "nvflare"), "provision", "-p", "project.yml", "-w", "out"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / "out" / "hospitals" / "prod_00"


def files_of(kit: Path) -> set[str]:
    return {str(Path(where, name).relative_to(kit)) for where, _, names in os.walk(kit) for name in names}


@pytest.mark.parametrize("name", [SERVER, "site-1", ADMIN])
def test_a_kit_has_every_file_of_nvflares_kit(untouched: Federation, stock: Path, name: str) -> None:
    ours = set() if name == ADMIN else OURS

    assert files_of(untouched.workspace.kit(name)) == files_of(stock / name) | ours


@pytest.mark.parametrize("name", [SERVER, "site-1", ADMIN])
def test_all_other_files_equal_nvflares(untouched: Federation, stock: Path, name: str) -> None:
    for file in files_of(stock / name):
        if file.endswith(RANDOM_SUFFIXES) or (name != ADMIN and file in MODIFIED):
            continue
        assert (untouched.workspace.kit(name) / file).read_bytes() == (stock / name / file).read_bytes(), file
        assert (untouched.workspace.kit(name) / file).stat().st_mode & 0o111 == (
            stock / name / file
        ).stat().st_mode & 0o111, file


@pytest.mark.parametrize("name", [SERVER, "site-1", ADMIN])
def test_certificates_have_the_content_of_nvflares(untouched: Federation, stock: Path, name: str) -> None:
    ours, theirs = untouched.certificate(name), certificate_of(stock / name)

    assert ours.subject == theirs.subject
    assert ours.issuer == theirs.issuer
    assert [extension.oid for extension in ours.extensions] == [
        extension.oid for extension in theirs.extensions
    ]
    sans = x509.SubjectAlternativeName
    assert ours.extensions.get_extension_for_class(sans) == theirs.extensions.get_extension_for_class(sans)
    lasts, theirs_lasts = (one.not_valid_after_utc - one.not_valid_before_utc for one in (ours, theirs))
    assert abs((lasts - theirs_lasts).total_seconds()) < 60


def test_the_servers_resources_differ_from_nvflares_only_as_intended(
    untouched: Federation, stock: Path
) -> None:
    theirs = json.loads((stock / SERVER / "local" / "resources.json.default").read_text())
    theirs["class_allow_list"] += DEFAULT
    theirs["servers"][0]["check_engine_frequency"] = 0.2
    theirs["snapshot_persistor"]["args"]["storage"]["args"]["root_dir"] = "/var/lib/flare/snapshot-storage"
    components = {component["id"]: component for component in theirs["components"]}
    components["job_scheduler"]["path"] = "fl_app.guard.scheduler.JobScheduler"
    components["job_scheduler"]["args"] |= {"max_schedule_count": 100_000, "max_schedule_interval": 60.0}
    components["job_manager"]["path"] = "fl_app.survival.job_manager.JobManager"
    components["job_manager"]["args"]["uri_root"] = "/var/lib/flare/jobs-storage"
    components["process_launcher"]["path"] = "fl_app.launchers.process.ServerJobLauncher"
    components["log_receiver"]["path"] = "fl_app.survival.log_receiver.LogReceiver"
    components["log_receiver"]["args"]["dest_dir"] = "/var/lib/flare/site-logs"

    assert untouched.read(SERVER, "local/resources.json.default") == theirs


def test_a_sites_resources_differ_from_nvflares_only_as_intended(untouched: Federation, stock: Path) -> None:
    theirs = json.loads((stock / "site-1" / "local" / "resources.json.default").read_text())
    theirs["class_allow_list"] += DEFAULT
    theirs["client"] |= {"client_register_interval": 0.5, "maint_msg_timeout": 10.0}
    theirs["client"] |= {"communication_timeout": 20.0}
    components = {component["id"]: component for component in theirs["components"]}
    components["process_launcher"]["path"] = "fl_app.launchers.process.ClientJobLauncher"

    assert untouched.read("site-1", "local/resources.json.default") == theirs


@pytest.mark.parametrize("name", [SERVER, "site-1"])
def test_permissions_equal_nvflares_except_that_leads_may_read_logs_of_their_jobs(
    untouched: Federation, stock: Path, name: str
) -> None:
    theirs = json.loads((stock / name / "local" / "authorization.json.default").read_text())
    if name == SERVER:
        theirs["permissions"]["lead"] |= dict.fromkeys(JOB_LOG_COMMANDS, "n:submitter")

    assert untouched.read(name, "local/authorization.json.default") == theirs


@pytest.mark.parametrize("name", [SERVER, "site-1"])
def test_no_file_of_local_refers_to_tmp(untouched: Federation, name: str) -> None:
    for file in (untouched.workspace.kit(name) / "local").rglob("*"):
        if file.suffix != ".sample":
            assert "/tmp" not in file.read_text(), file


@pytest.mark.parametrize("name", [SERVER, "site-1"])
def test_the_parents_port_for_job_processes_is_fixed(untouched: Federation, name: str) -> None:
    internal = untouched.read(name, "local/comm_config.json")["internal"]

    assert internal["scheme"] == "tcp"
    assert internal["resources"] == {"host": "localhost", "port": 8102, "connection_security": "clear"}


@pytest.mark.parametrize("name", [SERVER, "site-1"])
def test_telemetry_and_survival_run_in_the_parent_and_in_every_job(untouched: Federation, name: str) -> None:
    parent = untouched.read(name, "local/telemetry__p_resources.json")["components"]
    privacy = untouched.read(name, "local/privacy.json")

    assert {one["path"]: one["args"] for one in parent} == {
        "fl_app.telemetry.parent.ParentTelemetry": {},
        "fl_app.tracking.parent.ParentAnalytics": {},
        "fl_app.survival.component.ParentSurvival": {},
    }
    assert {
        "fl_app.telemetry.job.JobTelemetry",
        "fl_app.tracking.job.JobAnalytics",
        "fl_app.survival.component.JobSurvival",
    } <= {one["path"] for one in privacy["components"]}
    assert privacy["default_scope"] in [scope["name"] for scope in privacy["scopes"]]


@pytest.mark.parametrize(
    ("name", "role", "org"), [(SERVER, "server", "consortium"), ("site-1", "client", "county")]
)
def test_a_kit_names_its_holder(untouched: Federation, name: str, role: str, org: str) -> None:
    facts = untouched.read(name, "local/flarefleet.json")

    assert (facts["project"], facts["name"], facts["role"], facts["org"]) == ("hospitals", name, role, org)
    assert facts["nvflare"] == "2.9.0"
    assert facts["server"] == {"name": SERVER, "host": SERVER, "fed_learn_port": 8002, "admin_port": 8002}


def test_nvflares_pod_launcher_reads_a_sites_datasets(tmp_path: Path) -> None:
    from nvflare.app_opt.job_launcher.study_runtime import load_study_runtime_file, resolve_study_runtime

    federation = Federation(tmp_path, "site-1")
    federation.document["deployment"] = {
        "sites": {
            "site-1": {"launcher": "pod", "datasets": {"training": {"claim": "county-data", "mode": "ro"}}}
        }
    }
    federation.provision()

    file = str(federation.workspace.kit("site-1") / "local" / "study_runtime.yaml")
    studies = load_study_runtime_file(file, launcher_mode="k8s")
    (dataset,) = resolve_study_runtime(studies, "default", file).datasets
    assert (dataset.dataset, dataset.source, dataset.mode) == ("training", "county-data", "ro")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_secrets_are_private_regardless_of_the_umask(tmp_path: Path, umask: int) -> None:
    federation = Federation(tmp_path, "site-1")
    before = os.umask(umask)
    try:
        federation.provision()
    finally:
        os.umask(before)

    root = federation.workspace.root
    assert federation.workspace.state.stat().st_mode & 0o777 == 0o700
    for file in [*federation.workspace.state.iterdir(), *root.rglob("*.key"), *root.rglob("key-secret.yaml")]:
        assert file.stat().st_mode & 0o777 == 0o600, file
    assert (federation.workspace.kit("site-1") / "startup" / "client.crt").stat().st_mode & 0o777 == 0o644


def test_secrets_in_the_state_folder_are_restricted_again(federation: Federation) -> None:
    federation.workspace.state.chmod(0o755)
    (federation.workspace.state / "cert.json").chmod(0o644)

    federation.provision()

    assert federation.workspace.state.stat().st_mode & 0o777 == 0o700
    assert (federation.workspace.state / "cert.json").stat().st_mode & 0o777 == 0o600


def test_a_release_has_the_kit_without_its_key_and_the_key_in_a_separate_folder(
    untouched: Federation,
) -> None:
    kit, released = untouched.workspace.kit("site-1"), untouched.workspace.release / "site-1"

    assert files_of(released / "kit") == {
        file
        for file in files_of(kit)
        if file.startswith(("startup/", "local/")) and not file.endswith(".key")
    }
    assert files_of(released / "key") == {"client.key"}


def test_a_released_key_is_a_private_copy(federation: Federation) -> None:
    key = federation.workspace.kit("site-1") / "startup" / "client.key"
    released = federation.workspace.release / "site-1" / "key" / "client.key"
    assert released.read_bytes() == key.read_bytes()
    assert released.stat().st_mode & 0o777 == 0o600

    released.chmod(0o444)

    assert key.stat().st_mode & 0o777 == 0o600
    assert not federation.provision().changed
    assert released.stat().st_mode & 0o777 == 0o600


def test_only_kits_state_and_key_folders_hold_a_private_key(untouched: Federation) -> None:
    holders = {
        path.relative_to(untouched.workspace.root).parts[0] + "/" + path.name
        for path in untouched.workspace.root.rglob("*")
        if path.is_file() and b"PRIVATE KEY" in path.read_bytes()
    }

    assert holders == {
        "state/cert.json", "kits/server.key", "kits/client.key", "release/server.key", "release/client.key"
    }  # fmt: skip


def test_a_deleted_file_of_a_released_kit_is_restored(federation: Federation) -> None:
    lost = federation.workspace.release / "site-1" / "kit" / "startup" / "fed_client.json"
    lost.unlink()

    federation.provision()

    assert lost.samefile(federation.workspace.kit("site-1") / "startup" / "fed_client.json")
