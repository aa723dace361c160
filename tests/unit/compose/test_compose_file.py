"""What the compose files say, and that Compose itself accepts them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.project import Project
from deploy.release.compose import compose_name, federation_file, host_file, is_for_several_hosts
from deploy.runtimes.docker.program import find_compose

Write = Callable[..., Project]

ELSEWHERE = "flare.example.org"


def federation(project: Project, workspace: str = "/work/demo", gpus: int | None = None) -> str:
    names = [project.server.name, *(site.name for site in project.sites)]
    return federation_file(
        project,
        images={name: f"flarefleet/{name}:1" for name in names},
        key_volumes={name: f"keys-of-{name}" for name in names},
        workspace=Path(workspace),
        gpus=gpus,
    )


def services(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text)["services"])


def test_compose_accepts_the_file_of_a_federation(project: Write, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(federation(project()), encoding="utf-8")

    assert find_compose().run(file, "config", "--quiet") == ""


@pytest.mark.parametrize("name", ["flare-server", "site-2"])
def test_compose_accepts_the_file_of_a_host(project: Write, tmp_path: Path, name: str) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(host_file(project(default_host=ELSEWHERE), name, image="image:1"), encoding="utf-8")

    assert find_compose().run(file, "config", "--quiet") == ""


def test_every_container_is_hardened(project: Write) -> None:
    for text in (
        federation(project()),
        host_file(project(default_host=ELSEWHERE), "flare-server", image="image:1"),
        host_file(project(default_host=ELSEWHERE), "site-1", image="image:1"),
    ):
        for service in services(text).values():
            assert service["read_only"] is True
            assert service["user"] == "10001:10001"
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert service["tmpfs"] == ["/tmp:size=1g,mode=1777,noexec,nosuid,nodev"]
            assert service["deploy"]["resources"]["limits"]["pids"] == 4096
            assert service["deploy"]["resources"]["limits"]["memory"] == f"{8 * 2**30}b"
            assert not {"privileged", "cap_add", "network_mode", "devices", "pid", "ipc"} & set(service)


def test_only_the_federation_port_is_published_and_on_loopback_for_a_federation_of_one_machine(
    project: Write,
) -> None:
    found = services(federation(project()))

    assert found["flare-server"]["ports"] == ["127.0.0.1:8002:8002"]
    assert not any("ports" in found[f"site-{n}"] for n in (1, 2, 3))


def test_a_server_for_other_hosts_is_published_on_every_interface(project: Write) -> None:
    several = project(default_host=ELSEWHERE)

    assert services(federation(several))["flare-server"]["ports"] == ["8002:8002"]
    assert services(host_file(several, "flare-server", image="i"))["flare-server"]["ports"] == ["8002:8002"]
    assert "ports" not in services(host_file(several, "site-1", image="i"))["site-1"]


def test_sites_of_one_machine_reach_the_server_by_its_name_in_their_network(project: Write) -> None:
    found = services(federation(project()))

    assert found["site-1"]["environment"] == {"FLARE_SERVER_ADDRESS": "flare-server:8002"}
    assert found["site-1"]["networks"] == found["flare-server"]["networks"] == ["federation"]


def test_a_site_on_a_host_of_its_own_reaches_the_server_where_its_kit_says(project: Write) -> None:
    service = services(host_file(project(default_host=ELSEWHERE), "site-1", image="i"))["site-1"]

    assert "environment" not in service


def test_the_key_of_a_host_is_a_file_that_compose_mounts_as_a_secret(project: Write) -> None:
    document = yaml.safe_load(host_file(project(default_host=ELSEWHERE), "site-1", image="i"))

    assert document["secrets"] == {"private-key": {"file": "./key/client.key"}}
    assert document["services"]["site-1"]["secrets"] == [
        {"source": "private-key", "target": "/run/secrets/flare/client.key"}
    ]


def test_each_site_has_its_own_workspace_and_its_own_key_and_no_other(project: Write) -> None:
    document = yaml.safe_load(federation(project()))

    for name, service in document["services"].items():
        assert service["volumes"] == [
            f"{name}-workspace:/var/lib/flare",
            f"{name}-key:/run/secrets/flare:ro",
        ]
        assert document["volumes"][f"{name}-key"] == {"external": True, "name": f"keys-of-{name}"}


def test_limits_of_project_yml_reach_the_container_in_units_that_compose_cannot_mistake(
    project: Write,
) -> None:
    given = project(defaults={"resources": {"limits": {"memory": "2G", "cpu": "1500m"}}})

    limits = services(federation(given))["site-1"]["deploy"]["resources"]["limits"]

    assert limits == {"memory": "2000000000b", "cpus": "1.5", "pids": 4096}


def test_a_gpu_of_project_yml_becomes_a_device_reservation_of_that_site_alone(project: Write) -> None:
    given = project(default_host=ELSEWHERE, image={"variant": "gpu"}, sites={"site-2": {"gpus": 2}})

    found = services(federation(given))

    assert found["site-2"]["deploy"]["resources"]["reservations"] == {
        "devices": [{"driver": "nvidia", "count": 2, "capabilities": ["gpu"]}]
    }
    for name in ("flare-server", "site-1", "site-3"):
        assert "reservations" not in found[name]["deploy"]["resources"]


def test_gpus_of_the_command_line_are_for_every_site_and_not_for_the_server(
    project: Write, tmp_path: Path
) -> None:
    text = federation(project(), gpus=1)
    file = tmp_path / "compose.yaml"
    file.write_text(text, encoding="utf-8")

    found = services(text)
    accepted = find_compose().run(file, "config")

    assert all("reservations" in found[f"site-{n}"]["deploy"]["resources"] for n in (1, 2, 3))
    assert "reservations" not in found["flare-server"]["deploy"]["resources"]
    assert accepted.count("driver: nvidia") == 3


def test_a_dollar_in_a_path_is_a_dollar_and_not_a_variable(project: Write, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(federation(project(), workspace='/home/$USER/"a b"'), encoding="utf-8")

    read = yaml.safe_load(find_compose().run(file, "config"))

    # what Compose prints is a compose file again: its dollars are doubled
    assert read["services"]["site-1"]["labels"]["flare/workspace"] == '/home/$$USER/"a b"'


def test_the_file_holds_no_secret_and_no_mark_of_a_template(project: Write) -> None:
    text = federation(project())

    assert "PRIVATE" not in text
    assert "{{" not in text
    assert "{%" not in text


@pytest.mark.parametrize(
    ("host", "several"),
    [
        ("localhost", False),
        ("127.0.0.1", False),
        ("flare.localhost", False),
        ("flare.example.org", True),
        ("10.1.2.3", True),
        (None, True),
    ],
)
def test_a_federation_is_for_several_hosts_unless_its_server_is_on_loopback(
    project: Write, host: str | None, several: bool
) -> None:
    assert is_for_several_hosts(project(default_host=host, count=1)) is several


@pytest.mark.parametrize(
    ("name", "expected"), [("demo", "flare-demo"), ("Demo_1", "flare-demo_1"), ("a.b c", "flare-a-b-c")]
)
def test_a_projects_name_becomes_one_that_compose_takes(name: str, expected: str) -> None:
    assert compose_name(name) == expected


def test_the_server_alone_is_told_of_trackers_and_no_credential_is_written_down(
    project: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-secret")
    assert "MLFLOW_TRACKING_TOKEN" not in federation(project())
    monkeypatch.setenv("FLARE_TRACKING", "mlflow")

    text = federation(project())

    assert "a-secret" not in text
    # A name without a value: Compose takes it from whoever starts the containers.
    told = services(text)["flare-server"]["environment"]
    assert (told["FLARE_TRACKING"], told["MLFLOW_TRACKING_TOKEN"]) == (None, None)
    assert "FLARE_TRACKING" not in services(text)["site-1"]["environment"]


def test_the_server_alone_is_told_how_long_the_guard_waits(
    project: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLARE_TASK_TIMEOUT", "7200")
    told = services(federation(project()))
    assert told["flare-server"]["environment"] == {"FLARE_TASK_TIMEOUT": None}
    assert "FLARE_TASK_TIMEOUT" not in told["site-1"]["environment"]


def test_the_server_alone_is_told_how_long_event_files_stay(
    project: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLARE_ANALYTICS_KEEP_DAYS", "90")

    text = federation(project())

    assert "FLARE_ANALYTICS_KEEP_DAYS" in services(text)["flare-server"]["environment"]
    assert "FLARE_ANALYTICS_KEEP_DAYS" not in services(text)["site-1"]["environment"]
