"""The content of compose files, which Compose itself validates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.project import Project
from deploy.release.compose import federation_file, host_file
from deploy.runtimes.docker.program import find_compose

Write = Callable[..., Project]
Read = Callable[[str], dict[str, Any]]

ELSEWHERE = "flare.example.org"


def federation(project: Project, workspace: str = "/work/demo", gpus: int | None = None) -> str:
    names = [parent.name for parent in project.parents]
    return federation_file(
        project,
        images={name: f"flarefleet/{name}:1" for name in names},
        key_volumes={name: f"keys-of-{name}" for name in names},
        workspace=Path(workspace),
        gpus=gpus,
    )


def services(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text)["services"])


@pytest.fixture
def as_compose_reads(tmp_path: Path) -> Read:
    """Return the services of a file as Compose reads them, with every dollar doubled."""

    def read(text: str) -> dict[str, Any]:
        (tmp_path / "compose.yaml").write_text(text, encoding="utf-8")
        return services(find_compose().run(tmp_path / "compose.yaml", "config"))

    return read


def test_compose_accepts_every_file_and_every_container_is_hardened(
    project: Write, as_compose_reads: Read
) -> None:
    for text in (
        federation(project()),
        host_file(project(default_host=ELSEWHERE), "flare-server", image="image:1"),
        host_file(project(default_host=ELSEWHERE), "site-1", image="image:1"),
    ):
        assert as_compose_reads(text).keys() == services(text).keys()
        for service in services(text).values():
            assert service["read_only"] is True
            assert service["user"] == "10001:10001"
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert service["tmpfs"] == ["/tmp:size=1g,mode=1777,noexec,nosuid,nodev"]
            assert service["deploy"]["resources"]["limits"]["pids"] == 4096
            assert service["deploy"]["resources"]["limits"]["memory"] == f"{8 * 2**30}b"
            assert not {"privileged", "cap_add", "network_mode", "devices", "pid", "ipc"} & set(service)


def test_a_server_on_loopback_publishes_its_port_on_loopback_only(project: Write) -> None:
    found = services(federation(project()))

    assert found["flare-server"]["ports"] == ["127.0.0.1:8002:8002"]
    assert not any("ports" in found[f"site-{n}"] for n in (1, 2, 3))


def test_a_server_for_other_hosts_publishes_its_port_on_every_interface(project: Write) -> None:
    several = project(default_host=ELSEWHERE)

    assert services(federation(several))["flare-server"]["ports"] == ["8002:8002"]
    assert services(host_file(several, "flare-server", image="i"))["flare-server"]["ports"] == ["8002:8002"]
    assert "ports" not in services(host_file(several, "site-1", image="i"))["site-1"]


def test_compose_mounts_the_key_file_of_a_host_as_a_secret(project: Write) -> None:
    document = yaml.safe_load(host_file(project(default_host=ELSEWHERE), "site-1", image="i"))

    assert document["secrets"] == {"private-key": {"file": "./key/client.key"}}
    assert document["services"]["site-1"]["secrets"] == [
        {"source": "private-key", "target": "/run/secrets/flare/client.key"}
    ]


def test_each_parent_has_its_own_workspace_and_key_only(project: Write) -> None:
    document = yaml.safe_load(federation(project()))

    for name, service in document["services"].items():
        assert service["volumes"] == [
            f"{name}-workspace:/var/lib/flare",
            f"{name}-key:/run/secrets/flare:ro",
        ]
        assert document["volumes"][f"{name}-key"] == {"external": True, "name": f"keys-of-{name}"}


def test_limits_of_resources_are_in_units_that_compose_reads_correctly(project: Write) -> None:
    given = project(defaults={"resources": {"limits": {"memory": "2G", "cpu": "1500m"}}})

    limits = services(federation(given))["site-1"]["deploy"]["resources"]["limits"]

    assert limits == {"memory": "2000000000b", "cpus": "1.5", "pids": 4096}


def test_gpus_of_a_site_are_reserved_for_it_only(project: Write) -> None:
    given = project(default_host=ELSEWHERE, image={"variant": "gpu"}, sites={"site-2": {"gpus": 2}})

    found = services(federation(given))

    assert found["site-2"]["deploy"]["resources"]["reservations"] == {
        "devices": [{"driver": "nvidia", "count": 2, "capabilities": ["gpu"]}]
    }
    for name in ("flare-server", "site-1", "site-3"):
        assert "reservations" not in found[name]["deploy"]["resources"]


def test_gpus_of_the_command_line_apply_to_every_site_and_not_to_the_server(
    project: Write, as_compose_reads: Read
) -> None:
    found = as_compose_reads(federation(project(), gpus=1))

    assert all("reservations" in found[f"site-{n}"]["deploy"]["resources"] for n in (1, 2, 3))
    assert "reservations" not in found["flare-server"]["deploy"]["resources"]


def test_a_dollar_in_a_path_is_not_interpolated(project: Write, as_compose_reads: Read) -> None:
    read = as_compose_reads(federation(project(), workspace='/home/$USER/"a b"'))

    assert read["site-1"]["labels"]["flare/workspace"] == '/home/$$USER/"a b"'


TRACKING = {
    "receivers": ["mlflow"],
    "environment": {"MLFLOW_TRACKING_URI": "https://mlflow.example.org"},
    "credentials": "trackers.env",
    "keep_days": 90,
}
GUARD = {"task_timeout_seconds": 7200}
SERVER_VARIABLES = {
    "FLARE_TRACKING": "mlflow",
    "FLARE_ANALYTICS_KEEP_DAYS": "90",
    "FLARE_TASK_TIMEOUT": "7200",
    "MLFLOW_TRACKING_URI": "https://mlflow.example.org",
}


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    file = tmp_path / "trackers.env"
    file.write_text("MLFLOW_TRACKING_PASSWORD='s3cret $HOME'\n", encoding="utf-8")
    file.chmod(0o600)
    return file


def test_only_the_server_gets_the_settings_of_tracking_and_guard(project: Write, credentials: Path) -> None:
    found = services(federation(project(tracking=TRACKING, guard=GUARD)))

    assert found["flare-server"]["environment"] == SERVER_VARIABLES
    assert found["flare-server"]["env_file"] == [str(credentials)]
    assert found["site-1"]["environment"] == {"FLARE_SERVER_ADDRESS": "flare-server:8002"}
    assert "env_file" not in found["site-1"]
    assert found["site-1"]["networks"] == found["flare-server"]["networks"] == ["federation"]


def test_compose_reads_credentials_from_their_file_without_interpolation(
    project: Write, credentials: Path, as_compose_reads: Read
) -> None:
    text = federation(project(tracking=TRACKING))

    assert "s3cret" not in text
    environment = as_compose_reads(text)["flare-server"]["environment"]
    assert environment["MLFLOW_TRACKING_PASSWORD"] == "s3cret $$HOME"


def test_the_file_of_a_host_names_a_credentials_file_that_its_operator_writes(
    project: Write, credentials: Path
) -> None:
    several = project(default_host=ELSEWHERE, tracking=TRACKING, guard=GUARD)

    server = services(host_file(several, "flare-server", image="i"))["flare-server"]
    site = services(host_file(several, "site-1", image="i"))["site-1"]

    assert (server["environment"], server["env_file"]) == (SERVER_VARIABLES, ["./tracking.env"])
    assert "environment" not in site
    assert "env_file" not in site


def test_variables_of_the_shell_do_not_change_the_file(
    project: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = federation(project(guard=GUARD))
    for name in ("FLARE_TRACKING", "FLARE_TASK_TIMEOUT", "FLARE_ANALYTICS_KEEP_DAYS", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "1")

    assert federation(project(guard=GUARD)) == before
