"""GPU metrics through the real nvidia-ml-py, on a stand-in for the driver's library (nvml.c)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRAPES = """
import json, logging, sys
from fl_app.telemetry.metrics import Identity
from fl_app.telemetry.resources import Gpus
logging.basicConfig(stream=sys.stderr, level=logging.INFO)
gpus = Gpus(Identity("site-1", "client", project="hospitals"))
def scrape():
    return {f"{one.name} {one.labels['gpu']}": one.value for family in gpus() for one in family.samples}
print(json.dumps([scrape(), scrape()]))
"""
"""Two scrapes, one after the other."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the stand-in; without a compiler these tests are skipped, or fail where CI=true."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no C compiler for the stand-in of NVIDIA's library")
        pytest.skip("no C compiler for the stand-in of NVIDIA's library (apt-get install gcc)")
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("nvml.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", source], check=True, timeout=60
    )
    return folder


def scraped(library: Path, gpus: str | None) -> tuple[list[dict[str, float]], str]:
    """What two scrapes bring in a process that has these GPUs, and what it logs."""
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


def figures(gpu: int) -> dict[str, float]:
    """Of a GPU that is well."""
    return {f"nvflare_gpu_utilization_ratio {gpu}": 0.62, **memory(gpu)}


def memory(gpu: int) -> dict[str, float]:
    return {
        f"nvflare_gpu_memory_used_bytes {gpu}": 7 * 2**30,
        f"nvflare_gpu_memory_total_bytes {gpu}": 80 * 2**30,
    }


def test_each_gpu_has_what_the_driver_says(library: Path) -> None:
    assert scraped(library, "oo")[0] == [figures(0) | figures(1)] * 2


def test_a_gpu_that_is_lost_hides_no_other(library: Path) -> None:
    assert scraped(library, "lo")[0] == [figures(1)] * 2


def test_a_gpu_that_falls_off_the_bus_between_two_scrapes_is_gone_from_the_second(library: Path) -> None:
    assert scraped(library, "xo")[0] == [figures(0) | figures(1), figures(1)]


def test_what_a_gpu_does_not_support_is_absent_and_the_rest_is_there(library: Path) -> None:
    assert scraped(library, "uo")[0] == [memory(0) | figures(1)] * 2


@pytest.mark.parametrize("gpus", ["", None], ids=["no GPU", "no driver"])
def test_without_gpus_there_is_nothing_and_no_error(library: Path, gpus: str | None) -> None:
    found, said = scraped(library, gpus)

    assert found == [{}, {}]
    assert "ERROR" not in said
    assert "WARNING" not in said
