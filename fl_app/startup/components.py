"""Check that every component that local/ names can be imported; NVFlare's error names the wrong file."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.startup.installation import read_json


def check_components(workspace: Path) -> None:
    """Import every class that the parent's configuration in `workspace`/local names.

    Raises:
        StartupError: a class cannot be imported.
    """
    local = workspace / "local"
    custom = local / "custom"
    if custom.is_dir() and str(custom) not in sys.path:
        sys.path.append(str(custom))  # as NVFlare does
    for file in sorted(local.iterdir()):
        if _is_read_by_parent(file):
            for component_id, class_path in _components(read_json(file)):
                _check(file, component_id, class_path)


def _is_read_by_parent(file: Path) -> bool:
    if file.name == "resources.json.default":
        return not file.with_name("resources.json").exists()
    return file.name in ("resources.json", "privacy.json") or file.name.endswith(
        ("__resources.json", "__p_resources.json")
    )


def _components(document: Any) -> Iterator[tuple[str, str]]:
    """Yield the id and class path of each component, including those in arguments of other components."""
    if isinstance(document, dict):
        path = document.get("path")
        if isinstance(path, str) and "." in path and "/" not in path:
            yield str(document.get("id", path.rpartition(".")[2])), path
        for value in document.values():
            yield from _components(value)
    elif isinstance(document, list):
        for value in document:
            yield from _components(value)


def _check(file: Path, component_id: str, class_path: str) -> None:
    module, _, attribute = class_path.rpartition(".")
    try:
        getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise StartupError(
            Exit.CONFIGURATION,
            f"{file.name}: the component {component_id} ({class_path}) cannot be imported: "
            f"{type(error).__name__}: {error}",
        ) from error
