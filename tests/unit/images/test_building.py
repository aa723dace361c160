"""The build of an image: the docker program (a script on PATH), its output, and the inputs."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import docker
import pytest
from packaging.requirements import Requirement

from deploy.checkout import CHECKOUT
from deploy.errors import Failed, InputError, MachineError
from deploy.images import inputs
from deploy.images.build import (
    DEFAULT_SOURCE_DATE_EPOCH,
    BuildOptions,
    build_runtime,
    default_base_image,
    runtime_arguments,
    source_date_epoch,
)
from deploy.images.buildkit import Build, BuildStep, find_builder
from deploy.images.checksum import sha256_of
from deploy.project import Image
from maintenance.vla_lock import DIFFERENT_VERSIONS, LEFT_OUT, TORCH_LOCK, pins, requirements
from maintenance.vla_lock import LOCK as LOCK_OF_VLA

LOCK = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)

SUCCESSFUL_BUILD = r"""
echo '#1 [internal] load build definition'
echo '#5 [packages 1/2] RUN pip install'
echo '#5 0.123 some output'
echo '#5 DONE 1.5s'
echo '#6 [packages 2/2] RUN more'
echo '#6 CACHED'
"""
FAILED_BUILD = r"""
echo '#5 [packages 1/2] RUN pip install'
echo '#5 0.1 the hash of the wheel is wrong'
echo '#5 ERROR: executor failed'
exit 1
"""


def install_docker(
    folder: Path, monkeypatch: pytest.MonkeyPatch, version: str, script: str = "", buildx: int = 1
) -> Path:
    """Make a script of that version the only docker program on PATH; `buildx` is its plugin's exit code."""
    program = folder / "docker"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in buildx) if [ "$2" = version ]; then exit {buildx}; fi;; '
        f'--version) echo "Docker version {version}, build 1"; exit;; esac\n{script}',
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return program


def build_of(folder: Path) -> Build:
    return Build(
        tag="flarefleet/runtime:1", target="runtime", dockerfile=folder / "Dockerfile", context=folder
    )


@pytest.mark.parametrize(
    ("version", "buildx", "command"),
    [("28.2.2", 0, ("buildx", "build", "--load")), ("20.10.24+dfsg1", 1, ("build",))],
)
def test_buildx_is_used_if_docker_has_it_and_an_older_docker_builds_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, buildx: int, command: tuple[str, ...]
) -> None:
    docker = install_docker(tmp_path, monkeypatch, version, buildx=buildx)
    assert find_builder().command == (str(docker), *command)


def test_the_first_docker_on_path_that_can_build_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
    install_docker(tmp_path / "new", monkeypatch, "28.2.2")
    old = install_docker(tmp_path / "old", monkeypatch, "20.10.24")
    monkeypatch.setenv("PATH", f"{tmp_path / 'new'}:{tmp_path / 'old'}")
    assert find_builder().command == (str(old), "build")


def test_a_new_docker_without_buildx_cannot_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_docker(tmp_path, monkeypatch, "28.2.2")
    with pytest.raises(MachineError, match="buildx"):
        find_builder()


def test_the_start_and_end_of_steps_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_docker(tmp_path, monkeypatch, "20.10.24", SUCCESSFUL_BUILD)
    steps: list[BuildStep] = []
    find_builder().run(build_of(tmp_path), steps.append)
    assert [(step.title, step.state, step.seconds) for step in steps] == [
        ("packages 1/2", "started", 0.0),
        ("packages 1/2", "done", 1.5),
        ("packages 2/2", "started", 0.0),
        ("packages 2/2", "cached", 0.0),
    ]


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        (FAILED_BUILD, Failed, r"(?s)packages 1/2.*the hash of the wheel is wrong"),
        ("echo 'write /x: no space left on device'; exit 1", MachineError, "disk is full"),
    ],
    ids=["a failed step", "a full disk"],
)
def test_a_failed_build_is_reported_with_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, kind: type[Exception], message: str
) -> None:
    install_docker(tmp_path, monkeypatch, "20.10.24", script)
    with pytest.raises(kind, match=message):
        find_builder().run(build_of(tmp_path))


@pytest.mark.parametrize(("text", "expected"), [("1234567890", 1234567890), ("", DEFAULT_SOURCE_DATE_EPOCH)])
def test_source_date_epoch_is_read(monkeypatch: pytest.MonkeyPatch, text: str, expected: int) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    assert source_date_epoch() == expected


@pytest.mark.parametrize("text", ["yesterday", "-1", "1.5", "٣"])
def test_an_invalid_source_date_epoch_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(InputError, match="SOURCE_DATE_EPOCH"):
        source_date_epoch()


def test_wheels_of_the_user_are_copied_and_locked_by_their_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "PREPARED", tmp_path / "prepared")
    wheels = tmp_path / "given"
    wheels.mkdir()
    (wheels / "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl").write_bytes(b"wheel")
    inputs.prepare_build_inputs("gpu", wheels, DEFAULT_SOURCE_DATE_EPOCH)
    lock = (tmp_path / "prepared" / "wheels" / "gpu" / "torch.txt").read_text(encoding="utf-8")
    assert lock == f"torch==2.13.0+cpu --hash=sha256:{hashlib.sha256(b'wheel').hexdigest()}\n"


def test_a_folder_without_a_wheel_of_torch_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "PREPARED", tmp_path / "prepared")
    with pytest.raises(InputError, match="has no wheel of torch"):
        inputs.prepare_build_inputs("cpu", tmp_path, DEFAULT_SOURCE_DATE_EPOCH)


def test_the_gpu_variant_locks_torch_and_its_cuda_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "PREPARED", tmp_path)
    inputs.prepare_build_inputs("gpu", None, DEFAULT_SOURCE_DATE_EPOCH)
    locked = (tmp_path / "wheels" / "gpu" / "torch.txt").read_text(encoding="utf-8")
    assert {"torch", "nvidia-cublas", "nvidia-cudnn-cu13", "triton"} <= dict(LOCK.findall(locked)).keys()


LOCKS = ("images/requirements.txt", "images/torch-gpu.txt", "requirements/dev.txt")
LOCK_OF_TENSEAL = CHECKOUT / "requirements" / "he.txt"


@pytest.mark.parametrize(
    "lock", [*(CHECKOUT / name for name in LOCKS), TORCH_LOCK, LOCK_OF_VLA, LOCK_OF_TENSEAL]
)
def test_every_pin_of_a_lock_has_a_hash(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert len(re.findall(r"==\S+ \\\n    --hash=sha256:", text)) == len(LOCK.findall(text)) > 0


def test_the_locks_have_the_same_versions() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in LOCK.findall((CHECKOUT / lock).read_text(encoding="utf-8")):
            versions.setdefault(name, set()).add(version.removesuffix("+cpu"))
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


REQUIREMENTS = requirements()


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=[requirement.name for requirement in REQUIREMENTS])
def test_the_lock_of_vla_matches_pyproject_and_the_images(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pins(TORCH_LOCK, LOCK_OF_VLA)[requirement.name])


def test_the_lock_of_vla_has_the_versions_of_other_images_where_lerobot_accepts_them() -> None:
    theirs = pins(CHECKOUT / "images" / "requirements.txt")
    ours = pins(TORCH_LOCK, LOCK_OF_VLA)
    assert {
        name for name, version in ours.items() if theirs.get(name, version) != version
    } <= DIFFERENT_VERSIONS
    assert not ours.keys() & LEFT_OUT


@pytest.mark.parametrize(
    ("image", "stages"),
    [
        (Image(), {"VARIANT": "cpu"}),
        (Image(variant="gpu", extras=["flower"]), {"VARIANT": "gpu", "EXTRAS": "flower"}),
        (Image(variant="gpu", extras=["vla"]), {"VARIANT": "gpu", "EXTRAS": "vla"}),
        (Image(extras=["he"]), {"VARIANT": "cpu", "EXTRAS": "he"}),
        (Image(extras=["he", "flower"]), {"VARIANT": "cpu", "EXTRAS": "flower-he"}),
    ],
    ids=lambda value: "-".join((value.variant, *value.extras)) if isinstance(value, Image) else "",
)
def test_the_dockerfile_has_the_stages_of_build_of(image: Image, stages: dict[str, str]) -> None:
    arguments = runtime_arguments(image, BuildOptions())
    text = inputs.DOCKERFILE.read_text(encoding="utf-8")
    assert {name: arguments.get(name) for name in ("VARIANT", "EXTRAS")} == {"EXTRAS": None, **stages}
    assert f" AS runtime-{arguments['VARIANT']}\n" in text
    assert f" AS extras-{arguments.get('EXTRAS', 'none')}\n" in text


def test_wheels_are_refused_for_the_extra_vla(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_docker(tmp_path, monkeypatch, "28.2.2", buildx=0)
    image = Image(variant="gpu", extras=["vla"])
    with pytest.raises(InputError, match=r"--wheels: not supported for images with the extra vla"):
        build_runtime(docker.DockerClient(version="1.41"), image, BuildOptions(wheels=tmp_path))


def test_a_changed_lock_changes_the_source_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = inputs.source_digest("gpu")
    changed = tmp_path / "vla.txt"
    changed.write_text("lerobot==0\n")
    monkeypatch.setattr(inputs, "sha256_of", lambda path: sha256_of(changed if path == LOCK_OF_VLA else path))
    assert inputs.source_digest("gpu") != before


@pytest.mark.parametrize("secret", ["client.key", "client_context.tenseal", "site.P12"])
def test_a_secret_file_is_no_source_of_the_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secret: str
) -> None:
    sources, context = tmp_path / "checkout" / "fl_app", tmp_path / "context"
    sources.mkdir(parents=True)
    (sources / "contract.py").touch()
    monkeypatch.setattr(inputs, "_SOURCES", ("fl_app",))
    monkeypatch.setattr(inputs, "CHECKOUT", sources.parent)
    monkeypatch.setattr(inputs, "CONTEXT", context)
    before = inputs.source_digest("cpu")
    (sources / secret).write_text("secret")

    inputs.build_context()

    assert inputs.source_digest("cpu") == before
    assert [file.name for file in (context / "fl_app").iterdir()] == ["contract.py"]


def test_the_base_image_is_read_from_the_dockerfile() -> None:
    assert default_base_image() == "debian:bookworm-slim"
