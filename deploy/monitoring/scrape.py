"""What a Prometheus on this machine is told: whom to scrape, and which rules to watch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from deploy.monitoring.alerts import rules
from deploy.monitoring.paths import RUNBOOKS, SCRAPE_JOB
from deploy.runtimes.protocol import FederationStatus

INTERVAL_SECONDS = 5
"""Between two scrapes: on one machine a round takes seconds."""
LOOK_AGAIN_SECONDS = 5
"""Between two looks of Prometheus at the list of targets."""


class Scrape:
    """The files of one Prometheus: prometheus.yml, rules.yaml, targets.json.

    Args:
        folder: where they lie.
        interval: seconds between two scrapes.
    """

    def __init__(self, folder: Path, interval: int = INTERVAL_SECONDS) -> None:
        self._interval = interval
        self.configuration = folder / "prometheus.yml"
        self._rules = folder / "rules.yaml"
        self._targets = folder / "targets.json"
        self._known: dict[str, dict[str, object]] = {}

    def write(self) -> None:
        """Write all but the targets."""
        document = {
            "global": {
                "scrape_interval": f"{self._interval}s",
                "evaluation_interval": f"{self._interval}s",
            },
            "rule_files": [str(self._rules)],
            "scrape_configs": [
                {
                    "job_name": SCRAPE_JOB,
                    # A series says itself which site and job it is of: the server tells of every site.
                    "honor_labels": True,
                    "file_sd_configs": [
                        {"files": [str(self._targets)], "refresh_interval": f"{LOOK_AGAIN_SECONDS}s"}
                    ],
                }
            ],
        }
        _replace(self._rules, rules(RUNBOOKS.as_uri()))
        _replace(self.configuration, yaml.safe_dump(document, sort_keys=False))

    def aim(self, status: FederationStatus) -> int:
        """Scrape every server and site of a federation; one that is gone stays a target, and is missed.

        Returns:
            How many are scraped.
        """
        for site in status.sites:
            if site.telemetry_url is not None:
                labels: Mapping[str, str] = {
                    "project": status.project,
                    "site": site.name,
                    "role": site.role,
                }
                address = site.telemetry_url.removeprefix("http://").rstrip("/")
                self._known[site.name] = {"targets": [address], "labels": labels}
        text = json.dumps(list(self._known.values()), indent=2) + "\n"
        if not self._targets.exists() or self._targets.read_text(encoding="utf-8") != text:
            _replace(self._targets, text)
        return len(self._known)


def _replace(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)
