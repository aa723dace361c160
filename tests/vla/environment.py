"""The environment of the job fedprox-vla for tests: `python -m tests.vla.environment` makes .venv-vla.

lerobot and the CPU build of PyTorch that test machines have do not resolve together, so versions that were
tried are installed without a resolver. On other machines: pip install 'flarefleet[jobs,vla]'.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-vla"
_HERE = Path(__file__).parent
_TORCH = ROOT / "requirements" / "torch.txt"
_REQUIREMENTS = _HERE / "requirements.txt"
_OPERATORS = _HERE / "torchvision_ops.py"


def is_made() -> bool:
    """Whether the environment is there, and of these requirements."""
    made = ENVIRONMENT / "made-from.txt"
    return made.is_file() and made.read_text() == _made_from()


def make() -> Path:
    """Make the environment where it is missing or of other requirements, once at a time; return it."""
    with (ROOT / ".venv-vla.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_made():
            venv.create(ENVIRONMENT, with_pip=True, clear=True)
            _pip("-r", str(_TORCH))
            _pip("--no-deps", "-r", str(_REQUIREMENTS))
            _pip("--no-deps", "--no-build-isolation", "--editable", str(ROOT))
            packages = Path(
                sysconfig.get_path("purelib", vars={"base": str(ENVIRONMENT), "platbase": str(ENVIRONMENT)})
            )
            (packages / "_torchvision_ops.py").write_text(_OPERATORS.read_text())
            (packages / "_torchvision_ops.pth").write_text("import _torchvision_ops\n")
            (ENVIRONMENT / "made-from.txt").write_text(_made_from())
    return ENVIRONMENT


def _made_from() -> str:
    return "".join(file.read_text() for file in (_TORCH, _REQUIREMENTS, _OPERATORS))


def _pip(*arguments: str) -> None:
    python = ENVIRONMENT / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-compile", *arguments], check=True)


if __name__ == "__main__":
    print(make())
    sys.exit(0)
