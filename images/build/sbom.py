"""Writes the image's bill of materials (CycloneDX JSON): Python's packages and Debian's.

The same image gives the same file.

Usage: sbom.py PYTHON FILE. Runs inside the build, with the Python that has cyclonedx-py.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID


def main(python: str, file: Path) -> None:
    """Write the bill of materials of the environment of `python` into `file`."""
    document = python_packages(python)
    document["components"] = sorted(
        [*document["components"], *debian_packages()], key=lambda component: component["bom-ref"]
    )
    # Derive the serial number from the content, not from the time.
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()
    document["serialNumber"] = UUID(bytes=digest[:16], version=4).urn
    file.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def python_packages(python: str) -> dict[str, Any]:
    """What cyclonedx-py sees in the environment of `python`; the tests validate it, not the build."""
    options = ["--output-reproducible", "--no-validate", "--spec-version", "1.6"]
    command = ["cyclonedx_py", "environment", *options, python]
    document: dict[str, Any] = json.loads(
        subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.PIPE).stdout
    )
    return document


def debian_packages() -> list[dict[str, Any]]:
    """What dpkg says is installed."""
    query = "${Package}\t${Version}\t${Architecture}\t${db:Status-Status}\n"
    lines = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={query}"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.splitlines()
    rows = (line.split("\t") for line in lines)
    return [debian_package(*row[:3]) for row in rows if row[3] == "installed"]


def debian_package(name: str, version: str, architecture: str) -> dict[str, Any]:
    """A Debian package as a component."""
    purl = f"pkg:deb/debian/{name}@{quote(version, safe='.-~')}?arch={architecture}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
