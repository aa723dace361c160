"""Images with the extra `flower`: Flower has its own environment, and a job of one round runs in it.

tests/federation/test_flower_job.py runs two rounds, on processes.
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
from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.fedadagrad.schedule import sample
from tests.docker.conftest import Built
from tests.docker.containers import python_inside
from tests.docker.test_images import FAILED_IMPORTS, OWN_LAYERS, layers
from tests.federation.federation import Federation, set_options, write_project
from tests.unit.fedadagrad.reference import run

pytestmark = pytest.mark.docker

SITES = ["site-1", "site-2"]
PARAMETERS = DigitParameters(rounds=1, fraction_train=1, local_epochs=2, hidden=16, seed=5)
COMMON_PACKAGES = """
import json, subprocess, sys
print(sys.prefix)
program = "import importlib.metadata as m; print(sorted((d.name, d.version) for d in m.distributions()))"
subprocess.run(["/opt/flare/bin/python", "-c", program], check=True)
"""


@pytest.fixture(scope="module")
def federation(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A server and two sites in containers that have Flower."""
    folder = tmp_path_factory.mktemp("flower-images")
    file = write_project(folder, sites=len(SITES), name=f"flower-{os.getpid()}", extras=["flower"])
    federation = Federation(file.parent, "docker")
    build_runtime(engine, federation.project.image)
    try:
        yield federation
    finally:
        federation.remove()


def test_a_flower_job_equals_its_reference(federation: Federation, tmp_path: Path) -> None:
    federation.run("up", "--runtime", "docker")
    options = set_options(PARAMETERS.model_dump())
    federation.run("submit", "flower-digits", "--fetch", str(tmp_path / "results"), *options)

    sampled = [sample(SITES, 1, PARAMETERS.seed, round) for round in range(PARAMETERS.rounds)]
    expected = run(PARAMETERS, SITES, sampled).accuracy
    history = json.loads((tmp_path / "results" / "metrics" / "evaluation_history.json").read_text())
    assert [evaluation["accuracy"] for evaluation in history] == pytest.approx(expected, abs=0.01)


def test_every_module_of_fl_app_can_be_imported(federation: Federation, engine: docker.DockerClient) -> None:
    image = runtime_image(federation.project.image)
    assert python_inside(engine, image, FAILED_IMPORTS) == ""


def test_the_image_shares_layers_and_packages_with_images_without_flower(
    federation: Federation, built: Built
) -> None:
    image = runtime_image(federation.project.image)
    # torch and the requirements. See OS_LAYERS for Debian's layer. The layer of fl_app differs, because it
    # lists /opt, which has one more folder here.
    large = slice(OWN_LAYERS.start, OWN_LAYERS.stop - 1)
    assert layers(built.client, image)[large] == layers(built.client, built.runtime)[large]
    prefix, packages = python_inside(built.client, image, COMMON_PACKAGES).splitlines()
    assert prefix == "/opt/flower"
    assert python_inside(built.client, built.runtime, COMMON_PACKAGES).splitlines() == [
        "/opt/flare",
        packages,
    ]


def test_the_bill_of_materials_has_the_packages_of_both_environments(
    federation: Federation, engine: docker.DockerClient
) -> None:
    document = json.loads(read_sbom(engine, runtime_image(federation.project.image)))
    purls = [component["purl"] for component in document["components"]]
    assert any(purl.startswith("pkg:pypi/flwr@") for purl in purls)
    assert len([purl for purl in purls if purl.startswith("pkg:pypi/cryptography@")]) == 2
