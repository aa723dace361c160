"""Check the calls of a client script in a training process, and exchange models without copies there.

Python imports this module when it starts.

Another sitecustomize, such as that of the operating system, is imported, too. Without NVFlare's client API,
or without Flarefleet in the environment of the training process, nothing happens.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

CLIENT_API = "nvflare.client.cell.api"


class _ClientApiFinder:
    """Prepare the process when the client API is imported."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """Return the module's own specification, whose loader then calls the guard."""
        spec = PathFinder.find_spec(name, path) if name == CLIENT_API else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_check(module: ModuleType) -> None:
                execute(module)
                _prepare(module)

            spec.loader.exec_module = execute_and_check  # type: ignore[method-assign]
        return spec


def _prepare(module: ModuleType) -> None:
    """Prepare the process, if Flarefleet and what it needs can be imported in this environment."""
    package = str(Path(__file__).resolve().parents[3])  # an editable install is in no folder of the path
    sys.path.append(package)
    try:
        from fl_app.exchange import exchange_without_copies
        from fl_app.guard.script_calls import check_calls

        check_calls(module)
        exchange_without_copies()
    except Exception:  # noqa: S110 - the script has its own environment, perhaps with another Python or NVFlare
        pass
    finally:
        sys.path.remove(package)


def _import_next() -> None:
    """Import the sitecustomize that this one hides."""
    here = Path(__file__).resolve().parent
    others = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    spec: ModuleSpec | None = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


sys.meta_path.insert(0, _ClientApiFinder)
_import_next()
