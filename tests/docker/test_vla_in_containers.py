"""Images with the extra `vla`: lerobot with the release of torch that it needs, and a job that uses it.

The tests run only if FLAREFLEET_VLA_IMAGE=1: the image has 9 GB, and building it needs 20 GB of disk space.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from deploy.images.build import build_runtime
from deploy.images.names import runtime_image
from deploy.images.sbom import read_sbom
from maintenance.vla_lock import LEFT_OUT, LOCK, TORCH_LOCK, pins
from tests.docker.containers import python_inside
from tests.docker.test_images import (
    FAILED_IMPORTS,
    SOURCES_WITHOUT_BYTECODE,
    UNMET_REQUIREMENTS,
)
from tests.federation.federation import Federation, write_project

pytestmark = [pytest.mark.docker, pytest.mark.vla_image]

TORCHVISION_WITHOUT_GPU = """
import torch, torchvision
boxes = torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 1]])
print(torch.cuda.is_available(), torchvision.ops.nms(boxes, torch.tensor([1.0, 0.5]), 0.5).tolist())
"""
WRITE_AND_READ_VIDEO = """
import os
os.environ["HF_HOME"] = "/tmp/huggingface"
import numpy
from lerobot.datasets.lerobot_dataset import LeRobotDataset
camera = {"dtype": "video", "shape": (64, 64, 3), "names": ["height", "width", "channels"]}
joints = {"dtype": "float32", "shape": (2,), "names": ["a", "b"]}
features = {"observation.images.top": camera, "observation.state": joints, "action": joints}
dataset = LeRobotDataset.create("local/arm", fps=10, root="/tmp/arm", use_videos=True, features=features)
still = {"observation.state": numpy.zeros(2, numpy.float32), "action": numpy.zeros(2, numpy.float32)}
red = numpy.full((64, 64, 3), (255, 0, 0), numpy.uint8)
for _ in range(12):
    dataset.add_frame({"observation.images.top": red, **still, "task": "wait"})
dataset.save_episode()
dataset.finalize()
frame = LeRobotDataset("local/arm", root="/tmp/arm")[5]["observation.images.top"]
print([round(float(colour.mean())) for colour in frame])
"""


@pytest.fixture(scope="module")
def federation(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A server and two sites in containers that have lerobot; the runtime image is kept for the next run."""
    folder = tmp_path_factory.mktemp("vla-images")
    file = write_project(folder, sites=2, name=f"vla-{os.getpid()}", extras=["vla"])
    federation = Federation(file.parent, "docker")
    build_runtime(engine, federation.project.image)
    try:
        yield federation
    finally:
        federation.remove()


@pytest.fixture(scope="module")
def image(federation: Federation) -> str:
    return runtime_image(federation.project.image)


@pytest.mark.timeout(3600)  # includes building the image
def test_the_policy_improves_in_hardened_containers_without_a_gpu(
    federation: Federation, tmp_path: Path
) -> None:
    federation.run("up", "--runtime", "docker", timeout=900)
    federation.run(
        *("submit", "fedprox-vla", "--fetch", str(tmp_path / "results")),
        *("--set", "rounds=2", "--set", "local_epochs=1", "--set", "episodes=2"),
        timeout=600,
    )

    history = json.loads((tmp_path / "results" / "metrics" / "evaluation_history.json").read_text())
    assert [evaluation["round"] for evaluation in history] == [0, 2]
    assert history[-1]["squared_error"] < history[0]["squared_error"]
    assert (tmp_path / "results" / "model" / "best_model" / "model.safetensors").stat().st_size > 0


@pytest.mark.parametrize(
    ("program", "last_line"),
    [
        pytest.param(TORCHVISION_WITHOUT_GPU, "False [0]", id="torch and torchvision are compatible"),
        pytest.param(WRITE_AND_READ_VIDEO, "[1, 0, 0]", id="recordings with videos can be read"),
        pytest.param(SOURCES_WITHOUT_BYTECODE, "", id="every source has valid bytecode"),
    ],
)
def test_a_program_in_the_image_succeeds(
    image: str, engine: docker.DockerClient, program: str, last_line: str
) -> None:
    assert python_inside(engine, image, program).strip().rpartition("\n")[2] == last_line


def test_the_requirements_of_every_package_are_met_except_excluded_ones(
    image: str, engine: docker.DockerClient
) -> None:
    lines = python_inside(engine, image, UNMET_REQUIREMENTS).splitlines()
    assert [
        line for line in lines if line.split(" needs ")[1].split("<")[0].split(">")[0] not in LEFT_OUT
    ] == []


def test_every_module_of_fl_app_can_be_imported(image: str, engine: docker.DockerClient) -> None:
    missing = python_inside(engine, image, FAILED_IMPORTS).splitlines()
    assert [line for line in missing if "No module named 'flwr'" not in line] == []


def test_the_bill_of_materials_has_every_locked_package(image: str, engine: docker.DockerClient) -> None:
    document = json.loads(read_sbom(engine, image))
    purls = {component["purl"] for component in document["components"]}
    locked = {f"pkg:pypi/{name}@{version}" for name, version in pins(TORCH_LOCK, LOCK).items()}
    assert locked - purls == set()
