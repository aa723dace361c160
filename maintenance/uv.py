"""Lock and install requirements with uv."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory


def install(python: Path, *arguments: str) -> None:
    """Install packages in the environment of `python`, with a quarter of the CPU seconds that pip needs."""
    subprocess.run([_program(), "pip", "install", "--quiet", "--python", str(python), *arguments], check=True)


def lock(requirements: Iterable[str], constraints: Iterable[str], file: Path) -> None:
    """Write the locked requirements with hashes to `file`. uv keeps the versions that it already has."""
    with TemporaryDirectory() as folder:
        wanted, limits = Path(folder, "requirements.in"), Path(folder, "constraints.txt")
        write_lines(wanted, requirements)
        write_lines(limits, constraints)
        options = "--quiet --generate-hashes --no-header --no-annotate --python-version 3.11"
        command = [
            *(_program(), "pip", "compile", *options.split()),
            *("--constraint", str(limits), "--output-file", str(file), str(wanted)),
        ]
        subprocess.run(command, check=True)


def _program() -> str:
    return str(Path(sys.executable).with_name("uv"))


def write_lines(file: Path, lines: Iterable[str]) -> None:
    """Write lines to a file."""
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
