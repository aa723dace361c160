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


def metrics(gpus: str, utilized: str | None = None) -> dict[str, float]:
    """Return the metrics of GPUs; without utilization, except those in `utilized`."""
    return {
        **{f"nvflare_gpu_utilization_ratio {gpu}": 0.62 for gpu in (gpus if utilized is None else utilized)},
        **{f"nvflare_gpu_memory_used_bytes {gpu}": 7 * 2**30 for gpu in gpus},
        **{f"nvflare_gpu_memory_total_bytes {gpu}": 80 * 2**30 for gpu in gpus},
    }


@pytest.mark.parametrize(
    ("gpus", "first", "second"),
    [
        ("oo", metrics("01"), metrics("01")),
        ("lo", metrics("1"), metrics("1")),
        ("xo", metrics("01"), metrics("1")),
        ("uo", metrics("01", utilized="1"), metrics("01", utilized="1")),
        ("", {}, {}),
        (None, {}, {}),
    ],
    ids=["two GPUs", "one is lost", "lost between two scrapes", "no utilization", "no GPU", "no driver"],
)
def test_gpus_have_the_metrics_of_the_driver_and_do_not_affect_each_other(
    library: Path, gpus: str | None, first: dict[str, float], second: dict[str, float]
) -> None:
    found, log = scraped(library, gpus)

    assert found == [first, second]
    assert "ERROR" not in log
    assert "WARNING" not in log
