"""Create .venv-examples for the examples that need further packages: `make examples`.

`--lock` updates requirements.txt instead. The packages are locked without their dependencies: .venv has those
that the examples use, and pip would add NVIDIA's libraries for XGBoost.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from maintenance import overlay

ENVIRONMENT = Path(__file__).parents[2] / ".venv-examples"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PACKAGES = (
    "lightning-utilities",
    "openmined-psi",
    "pytorch-lightning",
    "tenseal",
    "torchmetrics",
    "tqdm",
    "xgboost",
)


def create() -> Path:
    """Create the environment if it is missing or its requirements have changed; return its Python."""
    return overlay.create(ENVIRONMENT, REQUIREMENTS)


def lock() -> None:
    """Update requirements.txt; uv keeps the versions that it already has."""
    options = "--quiet --no-deps --generate-hashes --no-header --no-annotate --python-version 3.11"
    with TemporaryDirectory() as folder:
        wanted = Path(folder, "requirements.in")
        wanted.write_text("\n".join(PACKAGES), encoding="utf-8")
        uv = [str(Path(sys.executable).with_name("uv")), "pip", "compile", *options.split()]
        subprocess.run([*uv, "--output-file", str(REQUIREMENTS), str(wanted)], check=True)


if __name__ == "__main__":
    if "--lock" in sys.argv:
        lock()
    else:
        print(create())
