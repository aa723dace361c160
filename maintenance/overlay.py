"""Create a Python environment that adds packages to those of .venv, so that torch is installed once."""

from __future__ import annotations

import sysconfig
import venv
from pathlib import Path

from filelock import FileLock

from maintenance import uv

_PROGRAMS = {"flarefleet": "deploy.cli.app", "nvflare": "nvflare.cli"}
_PROGRAM = """\
#!{python}
import sys

from {module} import main

sys.exit(main())
"""


def create(environment: Path, requirements: Path) -> Path:
    """Create the environment if it is missing or its requirements have changed; return its Python.

    Args:
        environment: folder of the environment.
        requirements: its locked packages, which take precedence over those of .venv.
    """
    python = environment / "bin" / "python"
    wanted = requirements.read_text(encoding="utf-8")
    installed = environment / "made-from.txt"
    with FileLock(f"{environment}.lock"):
        if not installed.is_file() or installed.read_text(encoding="utf-8") != wanted:
            venv.create(environment, clear=True)
            _add_packages_of_venv(environment)
            uv.install(python, "--no-deps", "--require-hashes", "--requirement", str(requirements))
            for name, module in _PROGRAMS.items():
                program = environment / "bin" / name
                program.write_text(_PROGRAM.format(python=python, module=module), encoding="utf-8")
                program.chmod(0o755)
            installed.write_text(wanted, encoding="utf-8")
    return python


def _add_packages_of_venv(environment: Path) -> None:
    below = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", vars=below))
    packages.joinpath("zz_packages_of_venv.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n", encoding="utf-8"
    )
