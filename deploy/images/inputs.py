"""The inputs of the runtime image: Flarefleet's own sources, and torch's wheel in .cache/images.

The context of a build is the checkout. An installed Flarefleet copies its sources into a folder of the user's
cache instead, because they are not in one folder.

torch has a wheel for CPU and one for CUDA, on different indexes. This machine's pip downloads the wheel
for CPU with its own settings; the build downloads the wheel for CUDA.
"""

from __future__ import annotations

import hashlib
import io
import platform
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePath

from deploy.checkout import CACHE, CHECKOUT, DATA, IS_CHECKOUT
from deploy.errors import InputError, MachineError
from deploy.images.checksum import sha256_of
from deploy.programs import pip
from deploy.secret_files import has_secret_name
from fl_app.files import write_atomically

CONTEXT = CHECKOUT if IS_CHECKOUT else CACHE / "images"
"""Context of the build of the runtime image."""
DOCKERFILE = (DATA / "images" / "Dockerfile").resolve()
PREPARED = CONTEXT / ".cache" / "images"

LOCKED_TORCH = (DATA / "images" / "torch-gpu.txt").resolve()
"""Lock of torch from PyPI and its CUDA packages. Both variants use this version of torch."""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PYTHON = "3.11"
"""Python version of the image, from Debian bookworm."""
HOSTS = b"127.0.0.1 localhost\n"

_SOURCES = (
    "images/Dockerfile",
    "images/build",
    "images/requirements.txt",
    "images/tools.txt",
    "requirements/flower.txt",
    "requirements/he.txt",
    "requirements/vla-torch.txt",
    "requirements/vla.txt",
    "pyproject.toml",
    "LICENSE",
    "fl_app",
)
"""Files and folders that the Dockerfile uses, as it names them."""
_COPIED = ".sources"
"""File of a context that has the digest of the copied sources."""


def build_context() -> Path:
    """Return the context of the runtime image; outside of a checkout, copy the sources into it."""
    if CONTEXT == CHECKOUT:
        return CONTEXT
    digest = source_digest("")
    if not _is_copied(digest):
        for name in _SOURCES:
            source, copy = _source(name), CONTEXT / name
            shutil.rmtree(copy, ignore_errors=True)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, copy, ignore=lambda _, names: {*filter(_is_excluded, names)})
            else:
                shutil.copyfile(source, copy)
        write_atomically(CONTEXT / _COPIED, digest.encode())
    return CONTEXT


def _is_copied(digest: str) -> bool:
    """Return whether the context has these sources."""
    try:
        return (CONTEXT / _COPIED).read_text(encoding="utf-8") == digest
    except FileNotFoundError:
        return False


def _source(name: str) -> Path:
    """Return the path of a file or folder that the Dockerfile uses."""
    return CHECKOUT / name if name == "fl_app" else (DATA / name).resolve()


def prepare_build_inputs(variant: str, wheels: Path | None, time: int) -> None:
    """Write .cache/images for a build of `variant`.

    Args:
        wheels: folder with torch's wheels (default: download them).
        time: modification time of generated files, in seconds since 1970.

    Raises:
        InputError: `wheels` has no wheel of torch.
        MachineError: torch's wheel cannot be downloaded.
    """
    folder = PREPARED / "wheels" / variant
    folder.mkdir(parents=True, exist_ok=True)
    _write_hosts(PREPARED / "hosts.tar", time)
    if wheels is not None:
        _copy_wheels(wheels, folder)
    elif variant == "gpu":
        _remove_wheels(folder)
        _write_if_changed(folder / "torch.txt", LOCKED_TORCH.read_bytes())
    elif not list(folder.glob(f"torch-{_torch_version()}*.whl")):
        _download_cpu_wheel(folder)
    if variant == "cpu" or wheels is not None:
        _lock(folder)


def source_digest(variant: str) -> str:
    """Return the SHA-256 of the sources of a variant with any extras. Images have it as a label."""
    digest = hashlib.sha256(variant.encode())
    for name, path in _source_files():
        digest.update(f"{name}\0{sha256_of(path)}\0".encode())
    return digest.hexdigest()


def _source_files() -> Iterator[tuple[str, Path]]:
    for name in (*_SOURCES, "images/torch-gpu.txt"):
        path = _source(name)
        if path.is_file():
            yield name, path
        yield from (
            (f"{name}/{file.relative_to(path).as_posix()}", file)
            for file in sorted(path.rglob("*"))
            if file.is_file() and not any(map(_is_excluded, file.relative_to(path).parts))
        )


def _is_excluded(name: str) -> bool:
    return name == "__pycache__" or has_secret_name(PurePath(name))


def _torch_version() -> str:
    line = next(
        line for line in LOCKED_TORCH.read_text(encoding="utf-8").splitlines() if line.startswith("torch==")
    )
    return line.split()[0].removeprefix("torch==")


def _download_cpu_wheel(folder: Path) -> None:
    """Download torch's CPU wheel with this machine's pip settings, otherwise from PyTorch's index."""
    _remove_wheels(folder)
    wanted = f"torch=={_torch_version()}+cpu"
    target = [f"manylinux_2_28_{platform.machine()}", "--python-version", PYTHON, "--implementation", "cp"]
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".download-") as downloads:
        command = [*pip(), *["download", "--quiet", "--no-deps"]]
        command += ["--only-binary", ":all:", "--platform", *target, "--dest", downloads, wanted]
        for further in ([], ["--index-url", CPU_INDEX]):
            ended = subprocess.run([*command, *further], check=False, capture_output=True, text=True)
            if ended.returncode == 0:
                for wheel in Path(downloads).glob("*.whl"):
                    wheel.replace(folder / wheel.name)
                return
    raise MachineError(
        f"pip found {wanted} neither on its configured index nor on {CPU_INDEX}. Download the wheel for "
        f"Python {PYTHON} elsewhere and pass its folder: --wheels FOLDER. Output of pip:\n"
        f"{ended.stderr.strip()}"
    )


def _copy_wheels(source: Path, folder: Path) -> None:
    found = sorted(source.glob("*.whl")) if source.is_dir() else []
    if not any(wheel.name.startswith("torch-") for wheel in found):
        raise InputError(f"--wheels {source}: the folder has no wheel of torch (torch-VERSION-cp311-*.whl)")
    _remove_wheels(folder)
    for wheel in found:
        shutil.copy2(wheel, folder / wheel.name)


def _remove_wheels(folder: Path) -> None:
    for wheel in folder.glob("*.whl"):
        wheel.unlink()


def _lock(folder: Path) -> None:
    """Write torch.txt with the hash of each wheel in the folder: the build accepts no other files."""
    lines = []
    for wheel in sorted(folder.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        lines.append(f"{name}=={version} --hash=sha256:{sha256_of(wheel)}\n")
    _write_if_changed(folder / "torch.txt", "".join(lines).encode())


def _write_hosts(file: Path, time: int) -> None:
    """Write the archive with the image's /etc/hosts, see the Dockerfile."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folder = tarfile.TarInfo("etc")
        folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, 0o755, time
        tar.addfile(folder)
        hosts = tarfile.TarInfo("etc/hosts")
        hosts.size, hosts.mtime = len(HOSTS), time
        tar.addfile(hosts, io.BytesIO(HOSTS))
    _write_if_changed(file, stream.getvalue())


def _write_if_changed(file: Path, content: bytes) -> None:
    if not file.exists() or file.read_bytes() != content:
        write_atomically(file, content)
