"""Generated files match values.schema.yaml, and the charts pass helm lint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.charts.rendering import CHARTS, HELM_FOLDER, NEWEST, OLDEST, helm

MINIMAL = str(Path(__file__).parent / "minimal.yaml")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_generated_file_is_up_to_date() -> None:
    ended = run(sys.executable, str(HELM_FOLDER / "generate.py"), "--check")
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_names_the_tested_kubernetes_versions(chart: str) -> None:
    described = yaml.safe_load((HELM_FOLDER / chart / "Chart.yaml").read_text())
    assert described["kubeVersion"] == f">={OLDEST}.0-0"
    assert described["annotations"]["flarefleet/newest-tested-kubernetes"] == NEWEST


@pytest.mark.parametrize("chart", CHARTS)
def test_helm_lint_passes(chart: str) -> None:
    ended = run(helm(), "lint", "--strict", str(HELM_FOLDER / chart), "--values", MINIMAL)
    assert ended.returncode == 0, ended.stdout
    assert "WARNING" not in ended.stdout


@pytest.mark.parametrize("chart", CHARTS)
def test_a_packaged_chart_contains_the_library_chart(chart: str, tmp_path: Path) -> None:
    run(helm(), "package", str(HELM_FOLDER / chart), "--destination", str(tmp_path))
    package = next(tmp_path.glob("*.tgz"))
    ended = run(helm(), "template", "site-1", str(package), "--values", MINIMAL)
    assert ended.returncode == 0, ended.stderr
    assert "symbolic link" not in ended.stderr
