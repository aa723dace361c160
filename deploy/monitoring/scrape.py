"""The configuration of a Prometheus on this machine: targets and rules."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from deploy.checkout import RUNBOOKS
from deploy.monitoring.alerts import rules
from deploy.monitoring.paths import SCRAPE_JOB
from deploy.runtimes.protocol import FederationStatus
from fl_app.files import write_atomically

INTERVAL_SECONDS = 5
"""Short, since on one machine a round takes seconds."""
REFRESH_SECONDS = 5
"""Interval at which Prometheus reads the list of targets."""


class Scrape:
    """The files of one Prometheus: prometheus.yml, rules.yaml, targets.json. `interval` is in seconds."""

    def __init__(self, folder: Path, interval: int = INTERVAL_SECONDS) -> None:
        self._interval = interval
        self.configuration = folder / "prometheus.yml"
        self._rules = folder / "rules.yaml"
        self._targets = folder / "targets.json"
        self._known: dict[str, dict[str, object]] = {}

    def write(self) -> None:
        """Write the configuration and the rules."""
        document = {
            "global": {
                "scrape_interval": f"{self._interval}s",
                "evaluation_interval": f"{self._interval}s",
            },
            "rule_files": [str(self._rules)],
            "scrape_configs": [
                {
                    "job_name": SCRAPE_JOB,
                    # The labels of a series are authoritative: the server reports on all sites.
                    "honor_labels": True,
                    "file_sd_configs": [
                        {"files": [str(self._targets)], "refresh_interval": f"{REFRESH_SECONDS}s"}
                    ],
                }
            ],
        }
        write_atomically(self._rules, rules(RUNBOOKS.as_uri()).encode())
        write_atomically(self.configuration, yaml.safe_dump(document, sort_keys=False).encode())

    def write_targets(self, status: FederationStatus) -> int:
        """Write the targets: every server and site of the federation, including those seen earlier.

        Returns:
            The number of targets.
        """
        for site in status.sites:
            if site.telemetry_url is not None:
                labels = {"project": status.project, "site": site.name, "role": site.role}
                address = site.telemetry_url.removeprefix("http://").rstrip("/")
                self._known[site.name] = {"targets": [address], "labels": labels}
        content = json.dumps(list(self._known.values()), indent=2).encode() + b"\n"
        if not self._targets.exists() or self._targets.read_bytes() != content:
            write_atomically(self._targets, content)
        return len(self._known)
