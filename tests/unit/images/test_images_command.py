"""`flarefleet images`, where no engine is needed or none answers."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from deploy.errors import InputError
from deploy.images.archive import SUMS, load_images
from deploy.images.inventory import list_images
from deploy.images.names import runtime_image, site_image
from deploy.project import load_project
from tests.federation.federation import write_project


def flarefleet(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line where no engine answers."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli.app", *arguments],
        cwd=folder,
        env={"DOCKER_HOST": f"unix://{folder}/no-engine.sock", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("verb", [("build",), ("push",), ("save", "images.tar")])
def test_without_an_engine_a_verb_ends_with_3_and_says_so(tmp_path: Path, verb: tuple[str, ...]) -> None:
    write_project(tmp_path, sites=1)
    ended = flarefleet(tmp_path, "images", *verb)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "No Docker engine answers" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_list_names_the_images_without_an_engine_too(tmp_path: Path) -> None:
    write_project(tmp_path, sites=2)
    ended = flarefleet(tmp_path, "images", "list", "--json")
    assert ended.returncode == 0
    assert [(image["site"], image["present"]) for image in json.loads(ended.stdout)] == [
        (None, False),
        ("flare-server", False),
        ("site-1", False),
        ("site-2", False),
    ]


def test_an_air_gapped_site_needs_its_own_image_alone(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path, sites=2))
    assert [image.name for image in list_images(None, project, "site-2")] == [site_image(project, "site-2")]


def test_a_site_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path, sites=2))
    with pytest.raises(InputError, match="site-1, site-2"):
        list_images(None, project, "site-9")


def test_names_hold_registry_project_site_tag_and_variant(tmp_path: Path) -> None:
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


def archive(file: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return file


BODIES = {"images.json": b"{}", "flarefleet.cdx.json": b"{}", "images.tar": b"x"}
SUMS_OF_OTHERS = b"".join(b"0" * 64 + b"  " + name.encode() + b"\n" for name in BODIES)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"notes.txt": b"hello"},
        BODIES,
        {**BODIES, SUMS: b""},
        {**BODIES, SUMS: SUMS_OF_OTHERS},
        {**BODIES, SUMS: b"\xff\xfe one two three\n"},
        {**BODIES, "../../evil": b"x", SUMS: SUMS_OF_OTHERS},
    ],
)
def test_what_is_no_archive_of_images_is_refused_before_the_engine_is_asked(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    with pytest.raises(InputError, match="was not loaded"):
        load_images(None, archive(tmp_path / "images.tar", members))  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"\0" * 3000, b"\x1f\x8b compressed?"])
def test_bytes_that_are_no_tar_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "images.tar"
    file.write_bytes(content)
    with pytest.raises(InputError, match="was not loaded"):
        load_images(None, file)  # type: ignore[arg-type]
