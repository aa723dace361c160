"""The command that installs missing packages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires

_EXTRA = re.compile(r"flarefleet\[(?P<name>[\w-]+)\]")


def pip_install(wanted: Iterable[str]) -> str:
    """Return the `pip install` command for these requirements.

    `flarefleet[EXTRA]` stands for the packages of an extra, because Flarefleet is on no index.
    """
    packages = dict.fromkeys(package for one in wanted for package in _packages(one))
    return shlex.join(["pip", "install", *packages])


def _packages(requirement: str) -> Iterator[str]:
    extra = _EXTRA.fullmatch(requirement)
    found = list(_of_extra(extra["name"])) if extra else []
    yield from found or [requirement]


def _of_extra(name: str) -> Iterator[str]:
    try:
        declared = requires("flarefleet") or []
    except PackageNotFoundError:
        return
    for one in declared:
        package, _, marker = one.partition(";")
        if re.search(rf"""\bextra == ["']{name}["']""", marker):
            yield package.strip()
