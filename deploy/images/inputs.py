"""What the runtime image is built from: this checkout, and torch's wheel in .cache/images beside it.

torch has two wheels of one version, for CPU and for CUDA, and they come from different indexes: the one for
CPU is fetched with this machine's pip and its settings, the one for CUDA by the build, from its own index.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy.checkout import CHECKOUT
from deploy.errors import InputError, MachineError
from deploy.images.checksum import sha256_of

DOCKERFILE = CHECKOUT / "images" / "Dockerfile"
PREPARED = CHECKOUT / ".cache" / "images"

LOCKED_TORCH = CHECKOUT / "images" / "torch-gpu.txt"
"""torch from PyPI, with its CUDA packages, all with hashes. Its version is that of both variants."""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PYTHON = "3.11"
"""The Python of the image: Debian bookworm's."""
HOSTS = b"127.0.0.1 localhost\n"

_SOURCES = (
    "images/Dockerfile",
    "images/build",
    "images/requirements.txt",
    "images/tools.txt",
    "requirements/flower.txt",
    "requirements/vla-torch.txt",
    "requirements/vla.txt",
    "pyproject.toml",
    "LICENSE",
    "fl_app",
)
"""What the Dockerfile takes from the checkout."""


def require_checkout() -> None:
    """Make sure that there is something to build from.

    Raises:
        MachineError: Flarefleet was installed without its sources.
    """
    if not DOCKERFILE.is_file():
        raise MachineError(
            f"{DOCKERFILE} is missing: images are built from a checkout of Flarefleet. Build there, or load "
            "finished images: flarefleet images load FILE"
        )


def prepare(variant: str, wheels: Path | None, time: int) -> None:
    """Lay out .cache/images for a build of `variant`.

    Args:
        variant: cpu or gpu.
        wheels: a folder with the wheels of torch to take, instead of fetching them.
        time: what the files that are made here get as their time, in seconds of Unix.

    Raises:
        InputError: `wheels` has no wheel of torch.
        MachineError: torch's wheel cannot be fetched.
    """
    folder = PREPARED / "wheels" / variant
    folder.mkdir(parents=True, exist_ok=True)
    _write_hosts(PREPARED / "hosts.tar", time)
    if wheels is not None:
        _take_wheels(wheels, folder)
    elif variant == "gpu":
        _remove_wheels(folder)
        _replace(folder / "torch.txt", LOCKED_TORCH.read_text(encoding="utf-8"))
    elif not list(folder.glob(f"torch-{_torch_version()}*.whl")):
        _fetch_cpu_wheel(folder)
    if variant == "cpu" or wheels is not None:
        _lock(folder)


def source_digest(variant: str) -> str:
    """SHA-256 of all that a build of `variant`, with or without extras, may take from this checkout.

    Images carry it as a label.
    """
    digest = hashlib.sha256(variant.encode())
    for path in _source_files():
        name = path.relative_to(CHECKOUT).as_posix()
        digest.update(f"{name}\0{sha256_of(path)}\0".encode())
    return digest.hexdigest()


def _source_files() -> Iterator[Path]:
    for name in (*_SOURCES, "images/torch-gpu.txt"):
        path = CHECKOUT / name
        found = [path] if path.is_file() else sorted(path.rglob("*"))
        yield from (
            file
            for file in found
            if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".key"
        )


def _torch_version() -> str:
    """The version that images/torch-gpu.txt locks."""
    line = next(
        line for line in LOCKED_TORCH.read_text(encoding="utf-8").splitlines() if line.startswith("torch==")
    )
    return line.split()[0].removeprefix("torch==")


def _fetch_cpu_wheel(folder: Path) -> None:
    """Fetch torch's CPU wheel: where this machine's pip finds it, otherwise from PyTorch's own index."""
    _remove_wheels(folder)
    wanted = f"torch=={_torch_version()}+cpu"
    target = [f"manylinux_2_28_{platform.machine()}", "--python-version", PYTHON, "--implementation", "cp"]
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as fetched:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        command += ["--only-binary", ":all:", "--platform", *target, "--dest", fetched, wanted]
        for further in ([], ["--index-url", CPU_INDEX]):
            ended = subprocess.run([*command, *further], check=False, capture_output=True, text=True)
            if ended.returncode == 0:
                for wheel in Path(fetched).glob("*.whl"):
                    wheel.replace(folder / wheel.name)
                return
    raise MachineError(
        f"pip finds {wanted} neither where it is set to look nor on {CPU_INDEX}. Fetch the wheel for Python "
        f"{PYTHON} elsewhere and name its folder: --wheels FOLDER. pip said:\n{ended.stderr.strip()}"
    )


def _take_wheels(source: Path, folder: Path) -> None:
    found = sorted(source.glob("*.whl")) if source.is_dir() else []
    if not any(wheel.name.startswith("torch-") for wheel in found):
        raise InputError(f"--wheels {source}: no wheel of torch lies there (torch-VERSION-cp311-*.whl)")
    _remove_wheels(folder)
    for wheel in found:
        shutil.copy2(wheel, folder / wheel.name)


def _remove_wheels(folder: Path) -> None:
    for wheel in folder.glob("*.whl"):
        wheel.unlink()


def _lock(folder: Path) -> None:
    """Write torch.txt: each wheel of the folder with its hash, so that the build takes these bytes alone."""
    lines = []
    for wheel in sorted(folder.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        lines.append(f"{name}=={version} --hash=sha256:{sha256_of(wheel)}\n")
    _replace(folder / "torch.txt", "".join(lines))


def _write_hosts(file: Path, time: int) -> None:
    """The archive that gives the image an /etc/hosts; see the Dockerfile."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folder = tarfile.TarInfo("etc")
        folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, 0o755, time
        tar.addfile(folder)
        hosts = tarfile.TarInfo("etc/hosts")
        hosts.size, hosts.mtime = len(HOSTS), time
        tar.addfile(hosts, io.BytesIO(HOSTS))
    if not file.exists() or file.read_bytes() != stream.getvalue():
        beside = file.with_suffix(f".{os.getpid()}")
        beside.write_bytes(stream.getvalue())
        beside.replace(file)


def _replace(file: Path, text: str) -> None:
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return
    beside = file.with_suffix(f".{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)
