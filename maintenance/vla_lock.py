"""Lock the requirements of images with the extra `vla`; part of `make lock`.

lerobot excludes the torch of all other images and some other versions. These images therefore have their own
environment: requirements/vla-torch.txt locks torch and its CUDA packages, requirements/vla.txt the rest.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

import tomllib
from packaging.requirements import Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

from deploy.checkout import CHECKOUT
from fl_app.files import write_atomically

LOCK = CHECKOUT / "requirements" / "vla.txt"
TORCH_LOCK = CHECKOUT / "requirements" / "vla-torch.txt"
IMAGE_LOCK = CHECKOUT / "images" / "requirements.txt"
IMAGE_REQUIREMENTS = CHECKOUT / "images" / "requirements.in"

DIFFERENT_VERSIONS = frozenset({"fsspec", "numpy", "packaging", "protobuf", "setuptools", "wandb"})
"""Packages whose version in the other images lerobot excludes, besides torch."""
LEFT_OUT = frozenset({"evdev", "pynput", "python-xlib", "torchcodec"})
"""Requirements of lerobot that the images do without: keyboard input, and a video decoder that needs Debian's
FFmpeg (PyAV includes its own)."""

_TORCH = re.compile(r"torch|torchvision|triton|nvidia-.*-cu\d+|cuda-.*")
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
_INDEX = "https://pypi.org/simple/"
_INDEX_VARIABLES = ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")


def lock() -> None:
    """Update both locks, with the versions of the previous locks and of the other images where possible.

    The only index is PyPI, whatever the pip settings of this machine: on other indexes the same version of
    torch is the CPU build.
    """
    found = {name: version for name, version in _resolve().items() if name not in LEFT_OUT}
    for file, names in (
        (TORCH_LOCK, [name for name in found if _TORCH.fullmatch(name)]),
        (LOCK, [name for name in found if not _TORCH.fullmatch(name)]),
    ):
        write_atomically(file, "".join(_locked(name, found[name]) for name in sorted(names)).encode())


def pins(*files: Path) -> dict[str, str]:
    """Return the locked version of each package in the files."""
    return {name: version for file in files for name, version in _PIN.findall(file.read_text("utf-8"))}


def requirements() -> list[Requirement]:
    """Return the requirements of the environment: the extra `vla`, and those of every image."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    of_every_image = (
        line.partition("#")[0].strip() for line in IMAGE_REQUIREMENTS.read_text("utf-8").splitlines()
    )
    lines = (*project["optional-dependencies"]["vla"], *of_every_image)
    return [Requirement(line) for line in lines if line]


def _resolve() -> dict[str, str]:
    shared = {name: version for name, version in pins(IMAGE_LOCK).items() if name not in DIFFERENT_VERSIONS}
    previous = pins(*(file for file in (TORCH_LOCK, LOCK) if file.exists()))
    with TemporaryDirectory() as folder:
        wanted, constraints, out = (Path(folder, name) for name in ("vla.in", "constraints.txt", "out.txt"))
        _write(wanted, map(str, requirements()))
        _write(constraints, (f"{name}=={version}" for name, version in shared.items()))
        # pip-compile keeps the versions that its output file already has.
        _write(out, (f"{name}=={version}" for name, version in previous.items()))
        options = "--quiet --strip-extras --allow-unsafe --no-header --no-annotate --no-emit-index-url"
        subprocess.run(
            [
                *(sys.executable, "-m", "piptools", "compile", *options.split(), "--no-emit-find-links"),
                *("--constraint", str(constraints), "--output-file", str(out), str(wanted)),
            ],
            env={
                **{name: value for name, value in os.environ.items() if name not in _INDEX_VARIABLES},
                "PIP_CONFIG_FILE": os.devnull,
            },
            check=True,
        )
        return pins(out)


def _write(file: Path, lines: Iterable[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _locked(name: str, version: str) -> str:
    """Return the pin with the hash of every file of that release.

    The hashes come from the index. pip-compile would download the release for every platform if the index has
    no PyPI JSON API.
    """
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    request = Request(f"{_INDEX}{name}/", headers=accept)  # noqa: S310 - https, see _INDEX
    with urlopen(request, timeout=60) as answer:  # noqa: S310
        files = json.load(answer)["files"]
    hashes = set()
    for file in files:
        parse = parse_wheel_filename if file["filename"].endswith(".whl") else parse_sdist_filename
        try:
            if str(parse(file["filename"])[1]) == version:
                hashes.add(file["hashes"]["sha256"])
        except (InvalidSdistFilename, InvalidWheelFilename, InvalidVersion):
            continue  # an egg, an installer
    assert hashes, f"{_INDEX}{name}/ has no file of {version}"
    return " \\\n    --hash=sha256:".join([f"{name}=={version}", *sorted(hashes)]) + "\n"


if __name__ == "__main__":
    lock()
