"""Comparison of a Flower app bundle that a site receives with the app that the site has."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # a dependency of Flower

_CONTENTS = ".info/"
"""Folder in which Flower lists the files of a bundle."""
_PROJECT = "pyproject.toml"


def first_difference(bundle: bytes, app: Path) -> str:
    """Return the first file of a bundle that is missing or different in `app`; empty if there is none.

    Args:
        bundle: zip archive from `flwr build`.
        app: folder of an app.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            sent = {name: archive.read(name) for name in archive.namelist() if not name.startswith(_CONTENTS)}
    except (zipfile.BadZipFile, ValueError, RuntimeError):
        return "the bundle"
    return next((name for name in sorted(sent) if not _is_same(name, sent[name], app)), "")


def _is_same(name: str, content: bytes, app: Path) -> bool:
    local = app / name
    if not local.is_file() or app.resolve() not in local.resolve().parents:
        return False
    if name == _PROJECT:  # `flwr build` rewrites it without comments
        return _project(content) == _project(local.read_bytes())
    return local.read_bytes() == content


def _project(content: bytes) -> object:
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return content
