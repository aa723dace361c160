"""A Flower app as Flower hands it to sites, held against the one that a site has itself."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with Flower

_CONTENTS = ".info/"
"""Where Flower lists what is in the bundle."""
_PROJECT = "pyproject.toml"


def first_difference(bundle: bytes, app: Path) -> str:
    """The first file of a bundle that `app` has not, or not the same; empty if there is none.

    Args:
        bundle: a zip archive, as `flwr build` makes it.
        app: the folder of an app.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            sent = {name: archive.read(name) for name in archive.namelist() if not name.startswith(_CONTENTS)}
    except (zipfile.BadZipFile, ValueError, RuntimeError):
        return "the bundle"
    return next((name for name in sorted(sent) if not _is_same(name, sent[name], app)), "")


def _is_same(name: str, content: bytes, app: Path) -> bool:
    here = app / name
    if not here.is_file() or app.resolve() not in here.resolve().parents:
        return False
    if name == _PROJECT:  # written anew by `flwr build`, without comments
        return _project(content) == _project(here.read_bytes())
    return here.read_bytes() == content


def _project(content: bytes) -> object:
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return content
