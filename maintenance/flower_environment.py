"""Create .venv-flower for Flower jobs: `make flower`.

Flower excludes the versions of cryptography, protobuf, rich and typer in .venv. .venv-flower contains Flower
and compatible versions of these packages, and takes all other packages from .venv, so that torch is installed
once. Run a federation from it (`.venv-flower/bin/flarefleet up`) to run Flower jobs.

`--lock` updates requirements/flower.txt instead.
"""

from __future__ import annotations

import sys
import sysconfig
import venv
from pathlib import Path

from filelock import FileLock

from deploy.checkout import CHECKOUT
from maintenance import uv

ENVIRONMENT = CHECKOUT / ".venv-flower"
REQUIREMENTS = CHECKOUT / "requirements" / "flower.txt"
_DEV_LOCK = CHECKOUT / "requirements" / "dev.txt"
_EXCLUDED = (
    "cryptography",
    "fastapi",
    "packaging",
    "protobuf",
    "rich",
    "starlette",
    "typer",
    "uv",
    "uvicorn",
)
"""Packages of .venv whose locked versions Flower excludes."""
_PROGRAM = """\
#!{python}
import sys

from deploy.cli.app import main

sys.exit(main())
"""


def create() -> Path:
    """Create the environment if it is missing or its requirements have changed; return its Python."""
    python = ENVIRONMENT / "bin" / "python"
    requirements = REQUIREMENTS.read_text(encoding="utf-8")
    installed = ENVIRONMENT / "made-from.txt"
    with FileLock(CHECKOUT / ".venv-flower.lock"):
        if not installed.is_file() or installed.read_text(encoding="utf-8") != requirements:
            venv.create(ENVIRONMENT, clear=True)
            _add_packages_of_venv()
            _install(python)
            program = ENVIRONMENT / "bin" / "flarefleet"
            program.write_text(_PROGRAM.format(python=python), encoding="utf-8")
            program.chmod(0o755)
            installed.write_text(requirements, encoding="utf-8")
    return python


def lock() -> None:
    """Update requirements/flower.txt, with the versions of .venv where Flower accepts them."""
    pins = [line.removesuffix(" \\\n") for line in _DEV_LOCK.open(encoding="utf-8") if line[0].isalnum()]
    accepted = (pin for pin in pins if pin.partition("==")[0] not in _EXCLUDED)
    uv.lock(["flwr>=1.27,<1.35"], accepted, REQUIREMENTS)


def _add_packages_of_venv() -> None:
    below = {"base": str(ENVIRONMENT), "platbase": str(ENVIRONMENT)}
    packages = Path(sysconfig.get_path("purelib", vars=below))
    packages.joinpath("zz_packages_of_venv.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n", encoding="utf-8"
    )


def _install(python: Path) -> None:
    uv.install(python, "--no-deps", "--require-hashes", "--requirement", str(REQUIREMENTS))


if __name__ == "__main__":
    if "--lock" in sys.argv:
        lock()
    else:
        print(create())
