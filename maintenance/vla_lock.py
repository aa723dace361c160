"""Lock the requirements of images with the extra `vla`; part of `make lock`.

lerobot excludes the torch of all other images and some other versions. These images therefore have their own
environment: requirements/vla-torch.txt locks torch and its CUDA packages, requirements/vla.txt the rest.
"""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import tomllib
from packaging.requirements import Requirement

from deploy.checkout import CHECKOUT
from fl_app.files import write_atomically
from maintenance import uv

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
_BLOCK = re.compile(r"^[a-z0-9].*\n(?:    .*\n)*", re.MULTILINE)
"""One package of a lock, with its hashes."""


def lock() -> None:
    """Update both locks, with the versions of the previous locks and of the other images where possible.

    uv ignores the pip settings of this machine and uses PyPI, where the same version of torch includes CUDA.
    """
    blocks = {block.partition("==")[0]: block for block in _BLOCK.findall(_compile())}
    kept = sorted(blocks.keys() - LEFT_OUT)
    for file, is_torch in ((TORCH_LOCK, True), (LOCK, False)):
        names = [name for name in kept if bool(_TORCH.fullmatch(name)) is is_torch]
        write_atomically(file, "".join(blocks[name] for name in names).encode())


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


def _compile() -> str:
    shared = {name: version for name, version in pins(IMAGE_LOCK).items() if name not in DIFFERENT_VERSIONS}
    previous = pins(*(file for file in (TORCH_LOCK, LOCK) if file.exists()))
    with TemporaryDirectory() as folder:
        file = Path(folder, "vla.txt")
        uv.write_lines(file, (f"{name}=={version}" for name, version in previous.items()))
        constraints = (f"{name}=={version}" for name, version in shared.items())
        uv.lock(map(str, requirements()), constraints, file)
        return file.read_text(encoding="utf-8")


if __name__ == "__main__":
    lock()
