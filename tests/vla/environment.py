"""The test environment of the job fedprox-vla: `python -m tests.vla.environment` creates .venv-vla.

pip cannot resolve lerobot together with the CPU build of PyTorch that test machines have. The environment has
tested versions, installed without the resolver. On other machines: pip install -e '.[jobs,vla]'.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from filelock import FileLock

from maintenance import uv

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-vla"
_HERE = Path(__file__).parent
_TORCH = ROOT / "requirements" / "torch.txt"
_REQUIREMENTS = _HERE / "requirements.txt"
_OPERATORS = _HERE / "torchvision_ops.py"


def is_installed() -> bool:
    """Return whether the environment exists with the current requirements."""
    installed = ENVIRONMENT / "made-from.txt"
    return installed.is_file() and installed.read_text() == _requirements()


def install() -> Path:
    """Create the environment if it is missing or outdated, under a lock, and return its folder."""
    with FileLock(ROOT / ".venv-vla.lock"):
        if not is_installed():
            venv.create(ENVIRONMENT, with_pip=True, clear=True)
            _pip("-r", str(_TORCH))
            uv.install(ENVIRONMENT / "bin" / "python", "--no-deps", "--requirement", str(_REQUIREMENTS))
            _pip("--no-deps", "--no-build-isolation", "--editable", str(ROOT))
            packages = Path(
                sysconfig.get_path("purelib", vars={"base": str(ENVIRONMENT), "platbase": str(ENVIRONMENT)})
            )
            (packages / "_torchvision_ops.py").write_text(_OPERATORS.read_text())
            (packages / "_torchvision_ops.pth").write_text("import _torchvision_ops\n")
            (ENVIRONMENT / "made-from.txt").write_text(_requirements())
    return ENVIRONMENT


def _requirements() -> str:
    return "".join(file.read_text() for file in (_TORCH, _REQUIREMENTS, _OPERATORS))


def _pip(*arguments: str) -> None:
    python = ENVIRONMENT / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-compile", *arguments], check=True)


if __name__ == "__main__":
    print(install())
    sys.exit(0)
