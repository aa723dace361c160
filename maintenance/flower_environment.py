"""Create .venv-flower for Flower jobs: `make flower`.

Flower excludes the versions of cryptography, protobuf, rich and typer in .venv. .venv-flower contains Flower
and compatible versions of these packages, and takes all other packages from .venv, so that torch is installed
once. Run a federation from it (`.venv-flower/bin/flarefleet up`) to run Flower jobs.

`--lock` updates requirements/flower.txt instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.checkout import CHECKOUT
from maintenance import overlay, uv

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


def create() -> Path:
    """Create the environment if it is missing or its requirements have changed; return its Python."""
    return overlay.create(ENVIRONMENT, REQUIREMENTS)


def lock() -> None:
    """Update requirements/flower.txt, with the versions of .venv where Flower accepts them."""
    pins = [line.removesuffix(" \\\n") for line in _DEV_LOCK.open(encoding="utf-8") if line[0].isalnum()]
    accepted = (pin for pin in pins if pin.partition("==")[0] not in _EXCLUDED)
    uv.lock(["flwr>=1.27,<1.35"], accepted, REQUIREMENTS)


if __name__ == "__main__":
    if "--lock" in sys.argv:
        lock()
    else:
        print(create())
