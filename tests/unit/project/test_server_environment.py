"""`deployment.tracking` and `deployment.guard` as environment variables of the server."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deploy.project import SiteDeployment
from deploy.project.server_environment import (
    ignored_variables,
    read_credentials,
    server_environment,
    site_environment,
)
from deploy.release.participant import Participant
from deploy.release.values import values_text

from .project_file import VALID, load, with_deployment


def test_without_settings_the_server_gets_no_variables(tmp_path: Path) -> None:
    assert server_environment(load(tmp_path, VALID)) == {}
    assert server_environment(load(tmp_path, with_deployment("tracking:\n  guard:"))) == {}


def test_settings_become_the_servers_variables(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        with_deployment(
            "tracking: {receivers: [mlflow, wandb], keep_days: 0.5,"
            " environment: {WANDB_MODE: offline, MLFLOW_HTTP_REQUEST_TIMEOUT: 5}}\n"
            "  guard: {site_patience_seconds: 3600, task_timeout_seconds: 0, untrained: warn, metric: off}\n"
            "  survival: {enabled: false, site_wait_seconds: 600}"
        ),
    )

    assert server_environment(project) == {
        "FLARE_TRACKING": "mlflow,wandb",
        "FLARE_ANALYTICS_KEEP_DAYS": "0.5",
        "FLARE_SITE_PATIENCE": "3600",
        "FLARE_TASK_TIMEOUT": "0",
        "FLARE_GUARD_RULES": "untrained=warn,metric=off",
        "FLARE_SITE_WAIT": "600",
        "FLARE_SURVIVAL": "false",
        "WANDB_MODE": "offline",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    }


def test_every_site_knows_whether_survival_is_disabled(tmp_path: Path) -> None:
    disabled = load(tmp_path, with_deployment("survival: {enabled: false, site_wait_seconds: 600}"))
    for folder in ("startup", "local"):
        (tmp_path / "kit" / folder).mkdir(parents=True)

    site = Participant(disabled, SiteDeployment(), "site-1", tmp_path / "kit")

    assert site_environment(disabled) == {"FLARE_SURVIVAL": "false"}
    assert yaml.safe_load(values_text(site))["environment"] == {"FLARE_SURVIVAL": "false"}
    assert site_environment(load(tmp_path, VALID)) == {}


def test_settings_become_values_of_the_servers_chart(tmp_path: Path) -> None:
    for folder in ("startup", "local"):
        (tmp_path / "kit" / folder).mkdir(parents=True)
    project = load(
        tmp_path,
        with_deployment(
            "tracking: {receivers: [wandb], keep_days: 90,"
            " environment: {WANDB_MODE: offline, WANDB_NOTES: '$(HOME) $$'}}\n"
            "  guard: {task_timeout_seconds: 60}"
        ),
    )

    server = Participant(project, SiteDeployment(), project.server.name, tmp_path / "kit")
    site = Participant(project, SiteDeployment(), "site-1", tmp_path / "kit")

    values = yaml.safe_load(values_text(server))
    assert values["tracking"] == {"receivers": ["wandb"]}
    assert values["analytics"] == {"keepDays": 90}
    assert values["environment"] == {
        "FLARE_TASK_TIMEOUT": "60",
        "WANDB_MODE": "offline",
        "WANDB_NOTES": "$$(HOME) $$$$",
    }
    assert not {"tracking", "analytics", "environment"} & yaml.safe_load(values_text(site)).keys()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "# MLflow\nMLFLOW_A=me\n\nMLFLOW_B='a $b # \"c\"'\nWANDB_API_KEY=\n",
            {"MLFLOW_A": "me", "MLFLOW_B": 'a $b # "c"', "WANDB_API_KEY": ""},
        ),
        ("WANDB_A=me=\r\nWANDB_B='a\tb\u2028c'\r\n", {"WANDB_A": "me=", "WANDB_B": "a\tb\u2028c"}),
    ],
    ids=["quotes", "line ends of Windows"],
)
def test_credentials_are_read_from_a_private_file_beside_project_yml(
    tmp_path: Path, content: str, expected: dict[str, str]
) -> None:
    file = tmp_path / "trackers.env"
    file.write_bytes(content.encode())
    file.chmod(0o600)

    project = load(tmp_path, with_deployment("tracking: {credentials: trackers.env}"))

    assert project.credentials_file == file
    assert read_credentials(file) == expected
    assert server_environment(project) == {}


@pytest.mark.parametrize(
    ("tracking", "expected"),
    [
        ("", ["FLARE_TRACKING"]),
        ("tracking: {receivers: [mlflow]}", ["FLARE_TRACKING", "MLFLOW_TRACKING_URI"]),
    ],
)
def test_variables_of_the_shell_that_have_no_effect_are_found(
    tmp_path: Path, tracking: str, expected: list[str]
) -> None:
    shell = {"FLARE_TRACKING": "wandb", "FLARE_METRICS_KEPT": "1", "MLFLOW_TRACKING_URI": "a", "HOME": "/"}

    assert ignored_variables(load(tmp_path, with_deployment(tracking)), shell) == expected
