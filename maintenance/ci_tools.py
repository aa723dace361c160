"""Install checkov and the MLflow server for CI: `python -m maintenance.ci_tools`.

Each gets its own virtual environment in .tools/: their dependencies conflict with those of .venv.
"""

from __future__ import annotations

import venv
from pathlib import Path

from deploy.checkout import TOOLS
from maintenance import uv

REQUIREMENTS = {"checkov": "checkov==3.3.30", "mlflow": "mlflow==3.17.2"}


def install(name: str) -> Path:
    """Install a tool unless it is there; return its program."""
    folder = TOOLS / name
    program = folder / "bin" / name
    if not program.exists():
        venv.create(folder, clear=True)
        uv.install(folder / "bin" / "python", REQUIREMENTS[name])
    return program


if __name__ == "__main__":
    for tool in REQUIREMENTS:
        print(install(tool))
