"""`flarefleet images` without an engine, and archives of images."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.errors import InputError
from deploy.images.names import runtime_image, site_image
from deploy.project import load_project
from deploy.release.images import list_images
from deploy.workspace import Workspace
from tests.federation.federation import write_project


def flarefleet(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli.app", *arguments],
        cwd=folder,
        env={"DOCKER_HOST": f"unix://{folder}/no-engine.sock", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", [("build",), ("push",), ("save", "images.tar")])
def test_a_command_without_an_engine_exits_with_3_and_a_message(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    write_project(tmp_path, sites=1)
    ended = flarefleet(tmp_path, "images", *command)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "No Docker engine answers" in ended.stderr
    assert "--runtime" not in ended.stderr
    assert ("any machine with Docker" in ended.stderr) == (command == ("build",))
    assert "Traceback" not in ended.stderr


def test_list_works_without_an_engine(tmp_path: Path) -> None:
    write_project(tmp_path, sites=2)
    ended = flarefleet(tmp_path, "images", "list", "--json")
    assert ended.returncode == 0
    assert [(image["site"], image["present"]) for image in json.loads(ended.stdout)] == [
        (None, False),
        ("flare-server", False),
        ("site-1", False),
        ("site-2", False),
    ]


def test_a_site_needs_the_runtime_image_and_its_own(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path, sites=2))
    workspace = Workspace(tmp_path / "workspace" / project.name)
    assert [(image.name, image.runtimes) for image in list_images(None, project, workspace, "site-2")] == [
        (runtime_image(project.image), ("kubernetes",)),
        (site_image(project, "site-2"), ("docker",)),
    ]
    with pytest.raises(InputError, match="site-1, site-2"):
        list_images(None, project, workspace, "site-9")


def test_names_have_registry_project_site_tag_and_variant(tmp_path: Path) -> None:
    file = write_project(tmp_path, sites=1, name="My.Clinics__2")
    with file.open("a", encoding="utf-8") as out:
        out.write(
            "deployment:\n  image: {registry: registry.example.org:5000/flare, tag: 1.2.3, variant: gpu}\n"
        )
    project = load_project(file)
    assert runtime_image(project.image) == "registry.example.org:5000/flare/runtime:1.2.3-gpu"
    assert site_image(project, "site-1") == "registry.example.org:5000/flare/my-clinics-2/site-1:1.2.3-gpu"


@pytest.mark.parametrize(("extra", "end"), [("flower", "-cpu-flower"), ("vla", "-gpu-vla")])
def test_names_end_with_the_extras_of_the_images(tmp_path: Path, extra: str, end: str) -> None:
    project = load_project(write_project(tmp_path, sites=1, extras=[extra]))
    assert runtime_image(project.image).endswith(end)
    assert site_image(project, "site-1").endswith(end)
