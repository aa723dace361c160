"""Save the packages of the charts to a folder, or push them to an OCI registry with helm."""

from __future__ import annotations

import re
import subprocess
from hashlib import sha256
from pathlib import Path

from deploy.charts.package import CHART_NAMES, chart_file, chart_version, package_chart
from deploy.errors import Failed, InputError, MachineError
from deploy.tools import find_tool
from fl_app.files import write_atomically
from fl_app.temporary_folders import temporary_folder

SUMS = "SHA256SUMS"
SCHEME = "oci://"
PUSH_SECONDS = 300
_DIGEST = re.compile(r"^Digest: (sha256:[0-9a-f]{64})$", re.MULTILINE)


def save_charts(folder: Path) -> list[Path]:
    """Write the package of each chart, and SHA256SUMS, and return the paths of the packages.

    Raises:
        MachineError: the folder cannot be written.
    """
    packages = {chart_file(chart): package_chart(chart) for chart in CHART_NAMES}
    sums = "".join(f"{sha256(content).hexdigest()}  {name}\n" for name, content in packages.items())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in {**packages, SUMS: sums.encode()}.items():
            write_atomically(folder / name, content, 0o644)
    except OSError as error:
        raise MachineError(f"{folder} cannot be written: {error.strerror or error}") from error
    return [folder / name for name in packages]


def push_charts(registry: str, *, plain_http: bool = False) -> dict[str, str]:
    """Push the package of each chart with helm, and return the digest of each by its OCI reference.

    Args:
        registry: HOST[:PORT]/PATH, with or without oci://.
        plain_http: use HTTP instead of HTTPS.

    Raises:
        InputError: `registry` has another scheme.
        Failed: helm failed; the message has its output.
        MachineError: helm is missing.
    """
    where = registry.removeprefix(SCHEME).rstrip("/")
    if "://" in where or not where:
        raise InputError(f"{registry}: is not an OCI registry. Example: registry.example.org/flare")
    helm, options = str(find_tool("helm")), ["--plain-http"] if plain_http else []
    with temporary_folder("flarefleet-charts-") as folder:
        return {
            _reference(where, name): _push([helm, "push", str(file), f"{SCHEME}{where}", *options], where)
            for name, file in zip(CHART_NAMES, save_charts(folder), strict=True)
        }


def _reference(where: str, chart: str) -> str:
    """Return the reference of a pushed chart. A tag has no +, for which helm writes _."""
    return f"{SCHEME}{where}/{chart}:{chart_version(chart).replace('+', '_')}"


def _push(command: list[str], where: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PUSH_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{where} did not accept the chart within {PUSH_SECONDS} s.") from error
    output = done.stdout + done.stderr
    if done.returncode:
        host = where.partition("/")[0]
        raise Failed(
            f"helm could not push to {where}: {output.strip().removeprefix('Error: ')}\n"
            f"If it requires a login: helm registry login {host}. If it has no TLS: --plain-http"
        )
    found = _DIGEST.search(output)
    return found[1] if found else ""
