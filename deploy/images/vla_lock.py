"""Locks what images with the extra `vla` hold: `python -m deploy.images.vla_lock`, which `make lock` runs.

lerobot excludes the torch of all other images, and some versions more; so those images hold one environment
of their own versions: requirements/vla-torch.txt is torch and its CUDA packages, requirements/vla.txt the
rest.
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

from packaging.requirements import Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "vla.txt"
LOCK_OF_TORCH = ROOT / "requirements" / "vla-torch.txt"
EVERYBODYS = ROOT / "images" / "requirements.txt"
WANTED = ROOT / "images" / "requirements.in"

OTHERS = frozenset({"fsspec", "numpy", "packaging", "protobuf", "setuptools", "wandb"})
"""Packages of which lerobot takes only other versions than all other images have; torch is one as well."""
LEFT_OUT = frozenset({"evdev", "pynput", "python-xlib", "torchcodec"})
"""What lerobot asks for and the images do without: the keyboard of a desktop, and a video decoder that needs
Debian's FFmpeg (PyAV brings its own)."""

_TORCH = re.compile(r"torch|torchvision|triton|nvidia-.*-cu\d+|cuda-.*")
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
_INDEX = "https://pypi.org/simple/"


def lock() -> None:
    """Write both locks anew, in the versions that they and the other images have where lerobot takes those.

    From PyPI alone, whatever this machine's pip is set to: elsewhere the same version of torch is the CPU's.
    """
    found = {name: version for name, version in _resolve().items() if name not in LEFT_OUT}
    for file, names in (
        (LOCK_OF_TORCH, [name for name in found if _TORCH.fullmatch(name)]),
        (LOCK, [name for name in found if not _TORCH.fullmatch(name)]),
    ):
        beside = file.with_suffix(".new")
        beside.write_text("".join(_locked(name, found[name]) for name in sorted(names)), encoding="utf-8")
        beside.replace(file)


def pins(*files: Path) -> dict[str, str]:
    """The version of each package that the files lock."""
    return {name: version for file in files for name, version in _PIN.findall(file.read_text("utf-8"))}


def asked() -> list[Requirement]:
    """What the environment must hold: the extra of pyproject.toml, and what every image is asked for."""
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    everybodys = (line.partition("#")[0].strip() for line in WANTED.read_text("utf-8").splitlines())
    return [Requirement(line) for line in (*extras["vla"], *everybodys) if line]


def _resolve() -> dict[str, str]:
    held = {name: version for name, version in pins(EVERYBODYS).items() if name not in OTHERS}
    ours = pins(*(file for file in (LOCK_OF_TORCH, LOCK) if file.exists()))
    with TemporaryDirectory() as folder:
        wanted, constraints, out = (Path(folder, name) for name in ("wanted.in", "held.txt", "out.txt"))
        _write(wanted, map(str, asked()))
        _write(constraints, (f"{name}=={version}" for name, version in held.items()))
        # pip-compile keeps to what its output holds already.
        _write(out, (f"{name}=={version}" for name, version in ours.items()))
        options = ["--quiet", "--strip-extras", "--allow-unsafe", "--no-header", "--no-annotate"]
        subprocess.run(
            [
                *(sys.executable, "-m", "piptools", "compile", *options),
                *("--no-emit-index-url", "--no-emit-find-links"),
                *("--constraint", str(constraints), "--output-file", str(out), str(wanted)),
            ],
            env={
                **{name: value for name, value in os.environ.items() if not _sets_where_from(name)},
                "PIP_CONFIG_FILE": os.devnull,
            },
            check=True,
        )
        return pins(out)


def _sets_where_from(variable: str) -> bool:
    return variable in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")


def _write(file: Path, lines: Iterable[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _locked(name: str, version: str) -> str:
    """A pin with the hash of every file of that release, as the index says them.

    Not by pip-compile: where an index lacks PyPI's own JSON, it downloads the release for every platform.
    """
    wanted = {"Accept": "application/vnd.pypi.simple.v1+json"}
    request = Request(f"{_INDEX}{name}/", headers=wanted)  # noqa: S310 - https, see _INDEX
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
    return (
        "".join([f"{name}=={version}", *(f" \\\n    --hash=sha256:{one}" for one in sorted(hashes))]) + "\n"
    )


if __name__ == "__main__":
    lock()
