"""Grafana with the dashboards, on the loopback interface and without authentication."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from deploy.hosts import LOOPBACK
from deploy.monitoring.paths import DASHBOARDS
from deploy.monitoring.scrape import INTERVAL_SECONDS
from deploy.programs import Command

HOME_DASHBOARD = "flarefleet-federation"


def grafana(program: Sequence[str], folder: Path, prometheus_url: str, port: int) -> Command:
    """Write Grafana's settings to `folder`, and return the command that starts it."""
    write_provisioning(folder / "provisioning", prometheus_url)
    return Command(
        name="Grafana",
        arguments=list(program),
        environment={
            "GF_PATHS_DATA": str(folder / "data"),
            "GF_PATHS_LOGS": str(folder / "logs"),
            "GF_PATHS_PLUGINS": str(folder / "plugins"),
            "GF_PATHS_PROVISIONING": str(folder / "provisioning"),
            "GF_SERVER_HTTP_ADDR": LOOPBACK,
            "GF_SERVER_HTTP_PORT": str(port),
            # Users of this machine may view, and may not change anything.
            "GF_AUTH_ANONYMOUS_ENABLED": "true",
            "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
            "GF_AUTH_DISABLE_LOGIN_FORM": "true",
            "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(DASHBOARDS / f"{HOME_DASHBOARD}.json"),
        },
        port=port,
        ready="/api/health",
    )


def write_provisioning(folder: Path, prometheus_url: str) -> None:
    """Write Grafana's provisioning files: the datasource and the dashboards' folder."""
    datasource = {
        "name": "Prometheus",
        "uid": "flarefleet-prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": prometheus_url,
        "isDefault": True,
        "jsonData": {"timeInterval": f"{INTERVAL_SECONDS}s"},
    }
    boards = {
        "name": "flarefleet",
        "folder": "Flarefleet",
        "type": "file",
        "options": {"path": str(DASHBOARDS)},
    }
    _write(folder / "datasources" / "prometheus.yaml", {"datasources": [datasource]})
    _write(folder / "dashboards" / "flarefleet.yaml", {"providers": [boards]})


def _write(file: Path, settings: dict[str, object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"apiVersion": 1, **settings}, sort_keys=False), encoding="utf-8")
