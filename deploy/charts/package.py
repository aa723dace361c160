"""Package a chart as `helm package` does, without helm: the same chart gives the same bytes."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.checkout import CHARTS

CHART_NAMES = ("flare-server", "flare-client", "flare-monitoring")
"""The charts that can be installed. The library chart is a part of those that depend on it."""
LIBRARIES = "charts"
"""The folder of a chart's dependencies. In the sources it has only links, which a wheel cannot hold."""
TIME = 1767225600
"""Modification time of every file of a package: 2026-01-01."""


def package_chart(name: str) -> bytes:
    """Return a chart with its library chart as a gzipped tar archive that helm installs."""
    stream = io.BytesIO()
    # An empty file name and a fixed time, so that the header does not depend on where and when it is written.
    with (
        gzip.GzipFile(filename="", fileobj=stream, mode="wb", mtime=TIME) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for inside, file in _files(name):
            content = file.read_bytes()
            header = tarfile.TarInfo(f"{name}/{inside}")
            header.size, header.mtime, header.mode = len(content), TIME, 0o644
            tar.addfile(header, io.BytesIO(content))
    return stream.getvalue()


@cache
def chart_file(name: str) -> str:
    """Return the file name of a chart's package, for example flare-client-0.1.0.tgz."""
    return f"{name}-{chart_version(name)}.tgz"


@cache
def chart_version(name: str) -> str:
    """Return the version of a chart."""
    return str(_chart(name)["version"])


def chart_sources(name: str) -> list[Path]:
    """Return the files that a chart's package is made of."""
    return [file for _, file in _files(name)]


def _files(name: str) -> Iterator[tuple[str, Path]]:
    """Yield the path in the package and the source of each file, the libraries last."""
    ignored = _ignored(CHARTS / name)
    libraries = [dependency["name"] for dependency in _chart(name).get("dependencies", ())]
    for chart, prefix in ((name, ""), *((library, f"{LIBRARIES}/{library}/") for library in libraries)):
        folder = CHARTS / chart
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            path = file.relative_to(folder)
            if path.parts[0] != LIBRARIES and not any(fnmatch(file.name, pattern) for pattern in ignored):
                yield f"{prefix}{path.as_posix()}", file


def _chart(name: str) -> dict[str, Any]:
    content = yaml.safe_load((CHARTS / name / "Chart.yaml").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def _ignored(chart: Path) -> list[str]:
    """Return the patterns of .helmignore, which are patterns of names, and one for hidden files."""
    lines = (chart / ".helmignore").read_text(encoding="utf-8").splitlines()
    return [".*", *(line for line in lines if line and not line.startswith("#"))]
