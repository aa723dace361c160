"""Packages of charts, which release folders, registries and air-gapped sites get."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.charts import CHART_NAMES, chart_file, package, package_chart
from fl_app.contract import flarefleet_version
from tests.charts.rendering import HELM_FOLDER, everything, helm


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("charts")
    for name in CHART_NAMES:
        (folder / chart_file(name)).write_bytes(package_chart(name))
    return folder


def rendered(chart: Path, values: Path) -> str:
    command = [helm(), "template", "site-1", str(chart), "--namespace", "fed", "--values", str(values)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("chart", CHART_NAMES)
def test_a_package_renders_the_same_objects_as_its_folder(packages: Path, tmp_path: Path, chart: str) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(everything(chart) if chart != "flare-monitoring" else {}))
    assert rendered(packages / chart_file(chart), values) == rendered(HELM_FOLDER / chart, values)
    lint = [helm(), "lint", "--strict", str(packages / chart_file(chart)), "--values", str(values)]
    subprocess.run(lint, check=True, capture_output=True)


@pytest.mark.parametrize("chart", CHART_NAMES)
def test_a_package_has_the_files_of_helm_package(packages: Path, tmp_path: Path, chart: str) -> None:
    subprocess.run(
        [helm(), "package", str(HELM_FOLDER / chart), "--destination", str(tmp_path)],
        check=True,
        capture_output=True,
    )
    assert files_of(packages / chart_file(chart)) == files_of(tmp_path / chart_file(chart))


def files_of(package_file: Path) -> set[str]:
    done = subprocess.run(["tar", "-tzf", str(package_file)], check=True, capture_output=True, text=True)
    return {line for line in done.stdout.splitlines() if not line.endswith((".helmignore", "/"))}


@pytest.mark.parametrize("chart", CHART_NAMES)
def test_the_version_of_a_chart_is_that_of_the_kit(chart: str) -> None:
    assert chart_file(chart) == f"{chart}-{flarefleet_version()}.tgz"


def test_the_same_chart_gives_the_same_bytes_also_where_the_library_is_no_link(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(HELM_FOLDER, tmp_path / "helm", symlinks=False)
    for file in (tmp_path / "helm").rglob("*"):
        os.utime(file, (1, 1))
    monkeypatch.setattr(package, "CHARTS", tmp_path / "helm")
    assert package_chart("flare-client") == (packages / chart_file("flare-client")).read_bytes()
