"""The alerts, tested with promtool."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.checkout import RUNBOOKS
from deploy.monitoring.alerts import ALERTS, rules
from deploy.monitoring.paths import RULES
from tests.unit.monitoring.alert_cases import CASES, Case

pytestmark = pytest.mark.xdist_group("promtool")  # one run of promtool for all cases


@pytest.fixture(scope="module")
def summaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules with only their summaries: promtool compares all annotations."""
    document = yaml.safe_load(rules())
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["annotations"] = {"summary": rule["annotations"]["summary"]}
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def run_promtool(promtool: str, summaries: Path, cases: list[Case]) -> subprocess.CompletedProcess[str]:
    document = {
        "rule_files": [str(summaries)],
        "evaluation_interval": "1m",
        "tests": [case.document for case in cases],
    }
    file = summaries.with_name(f"test-{len(cases)}.yaml")
    file.write_text(yaml.safe_dump(document))
    return subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def all_pass(promtool: str, summaries: Path) -> bool:
    """Whether all cases pass in one run; only after a failure each case runs separately."""
    return run_promtool(promtool, summaries, CASES).returncode == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.scenario}")
def test_an_alert_fires_in_its_cases_only(promtool: str, summaries: Path, all_pass: bool, case: Case) -> None:
    if not all_pass:
        ended = run_promtool(promtool, summaries, [case])
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_alert_has_firing_and_silent_cases() -> None:
    names = {(alert.name, alert.severity) for alert in ALERTS}
    firing = {(case.alert, labels["severity"]) for case in CASES for labels, _ in case.fires}
    silent = {case.alert for case in CASES if not case.fires}

    assert firing == names
    assert silent == {name for name, _ in names}


def test_prometheus_accepts_the_rules(promtool: str) -> None:
    command = [promtool, "check", "rules", "--lint-fatal", str(RULES / "flarefleet.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{len(ALERTS)} rules found" in ended.stdout


def test_every_alert_has_the_label_project_and_a_runbook() -> None:
    for group in yaml.safe_load(rules())["groups"]:
        for rule in group["rules"]:
            annotations: dict[str, Any] = rule["annotations"]
            assert "project" in rule["expr"], rule["alert"]
            assert rule["for"]
            assert annotations["summary"]
            assert annotations["description"].endswith(".")
            assert annotations["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {file.stem for file in RUNBOOKS.glob("*.md")} - {"README"} == {alert.name for alert in ALERTS}
