"""Archives of images. The docker program is a script on PATH, and the engine is a fake."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from deploy.errors import Failed, InputError
from deploy.images import archive as archive_module
from deploy.images.archive import FORMAT, SUMS, load_images, save_images
from deploy.images.inventory import ImageRecord
from tests.unit.images.test_building import install_docker

SAVED = {"manifest.json": b"[]", "blobs/sha256/1": b"layer" * 1000, "index.json": b"{}"}
IMAGE = ImageRecord(name="flarefleet/one:1", present=True)


def new_engine() -> Any:
    """Return the part of the Docker SDK that loads images."""
    engine = SimpleNamespace(loaded=b"")
    engine.images = SimpleNamespace(load=lambda chunks: setattr(engine, "loaded", b"".join(chunks)))
    return engine


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    archive(tmp_path / "docker-save.tar", SAVED)
    install_docker(tmp_path, monkeypatch, "28.2.2", f"exec /bin/cat {tmp_path}/docker-save.tar")
    monkeypatch.setattr(archive_module, "read_sbom", lambda _client, _image: b"{}")
    save_images(new_engine(), [IMAGE], tmp_path / "site-1.tar")
    return tmp_path / "site-1.tar"


def test_an_archive_has_the_files_that_docker_load_reads_at_its_top(saved: Path) -> None:
    with tarfile.open(saved) as tar:
        contents = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert SAVED.items() <= contents.items()
    assert contents.keys() - SAVED.keys() == {"images.json", "flarefleet.cdx.json", SUMS}


def test_the_checksums_of_an_archive_are_what_sha256sum_expects(saved: Path) -> None:
    subprocess.run(["/bin/tar", "xf", saved.name], cwd=saved.parent, check=True)
    subprocess.run(["/usr/bin/sha256sum", "--check", "--strict", SUMS], cwd=saved.parent, check=True)


def test_an_archive_is_sent_to_the_engine_unchanged(saved: Path) -> None:
    engine = new_engine()
    assert load_images(engine, saved) == [IMAGE.name]
    assert engine.loaded == saved.read_bytes()


@pytest.mark.parametrize("position", [0.1, 0.5, 0.9])
def test_a_damaged_archive_is_not_loaded(saved: Path, position: float) -> None:
    content = bytearray(saved.read_bytes())
    with tarfile.open(saved) as tar:
        layer = tar.getmember("blobs/sha256/1")
    content[layer.offset_data + int(layer.size * position)] ^= 1
    saved.write_bytes(content)
    engine = new_engine()
    with pytest.raises(InputError, match="the checksum of blobs/sha256/1 does not match"):
        load_images(engine, saved)
    assert engine.loaded == b""


def test_an_archive_of_another_format_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "FORMAT", FORMAT + 1)
    with pytest.raises(InputError, match=f"has format {FORMAT}"):
        load_images(new_engine(), saved)


@pytest.mark.parametrize("output", ["", "/bin/head -c 3000 {}"])
def test_a_failure_of_docker_save_is_reported_and_leaves_no_file(saved: Path, output: str) -> None:
    script = output.format(saved.parent / "docker-save.tar")
    program = saved.parent / "docker"
    program.write_text(f"#!/bin/sh\n{script}\necho no such image >&2\nexit 1\n")
    with pytest.raises(Failed, match="docker could not save the images: no such image"):
        save_images(new_engine(), [IMAGE], saved.parent / "other.tar")
    assert not list(saved.parent.glob("*other.tar*"))


def test_leftovers_of_a_killed_save_are_deleted_and_files_of_a_running_one_are_kept(saved: Path) -> None:
    folder = saved.parent
    leftover, running, foreign = (
        folder / name for name in (".site-1.tar.1", ".site-1.tar.2", ".site-1.tgz.3")
    )
    for file in (leftover, running, foreign):
        file.write_bytes(b"half of it")
    with FileLock(running):
        save_images(new_engine(), [IMAGE], saved)
    assert {file.name for file in folder.glob(".site-1*")} == {running.name, foreign.name}


def archive(file: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return file


DOCUMENT = json.dumps({"format": FORMAT, "images": []}).encode()
BODIES = {"images.json": DOCUMENT, "flarefleet.cdx.json": b"{}", "manifest.json": b"[]"}
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
def test_an_invalid_archive_is_refused_before_it_is_sent_to_the_engine(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    with pytest.raises(InputError, match="was not loaded"):
        load_images(new_engine(), archive(tmp_path / "images.tar", members))


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"\0" * 3000, b"\x1f\x8b compressed?"])
def test_a_file_that_is_not_a_tar_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (file := tmp_path / "images.tar").write_bytes(content)
    with pytest.raises(InputError, match="was not loaded"):
        load_images(new_engine(), file)
