"""GPU metrics from the real nvidia-ml-py, with a fake of the driver's library (nvml.c)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skipping import skip_or_fail_in_ci

SCRAPES = """
import json, logging, sys
from fl_app.telemetry.metrics import ParentIdentity
from fl_app.telemetry.resources import gpu_metrics
logging.basicConfig(stream=sys.stderr, level=logging.INFO)
identity = ParentIdentity("site-1", "client", project="hospitals")
def scrape():
    samples = [sample for family in gpu_metrics(identity) for sample in family.samples]
    return {f"{one.name} {one.labels['gpu']}": one.value for one in samples}
print(json.dumps([scrape(), scrape()]))
"""
"""Program that prints the result of two scrapes."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the fake. Without a compiler, skip the tests, or fail them in CI."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        skip_or_fail_in_ci("no C compiler for the fake of NVIDIA's library (apt-get install gcc)")
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("nvml.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", source], check=True, timeout=60
    )
    return folder


def scraped(library: Path, gpus: str | None) -> tuple[list[dict[str, float]], str]:
    """Return the results of two scrapes in a process with these GPUs, and its log."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library)}
    environment.pop("GPUS", None)
    ended = subprocess.run(
        [sys.executable, "-c", SCRAPES],
        env=environment | ({"GPUS": gpus} if gpus is not None else {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout), ended.stderr


def all_metrics(gpu: int) -> dict[str, float]:
    """Return the metrics of a healthy GPU."""
    return {f"nvflare_gpu_utilization_ratio {gpu}": 0.62, **memory(gpu)}


def memory(gpu: int) -> dict[str, float]:
    return {
        f"nvflare_gpu_memory_used_bytes {gpu}": 7 * 2**30,
        f"nvflare_gpu_memory_total_bytes {gpu}": 80 * 2**30,
    }


def test_each_gpu_has_the_metrics_of_the_driver(library: Path) -> None:
    assert scraped(library, "oo")[0] == [all_metrics(0) | all_metrics(1)] * 2


def test_a_lost_gpu_does_not_affect_the_others(library: Path) -> None:
    assert scraped(library, "lo")[0] == [all_metrics(1)] * 2


def test_a_gpu_that_is_lost_between_two_scrapes_is_absent_from_the_second(library: Path) -> None:
    assert scraped(library, "xo")[0] == [all_metrics(0) | all_metrics(1), all_metrics(1)]


def test_an_unsupported_metric_is_absent_and_the_others_are_reported(library: Path) -> None:
    assert scraped(library, "uo")[0] == [memory(0) | all_metrics(1)] * 2


@pytest.mark.parametrize("gpus", ["", None], ids=["no GPU", "no driver"])
def test_without_gpus_there_are_no_metrics_and_no_error(library: Path, gpus: str | None) -> None:
    found, log = scraped(library, gpus)

    assert found == [{}, {}]
    assert "ERROR" not in log
    assert "WARNING" not in log
