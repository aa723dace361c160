"""Find the component classes of an exported job that the server and the sites check against their allow list.

NVFlare does not check an app that carries code of its own: a folder custom/.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_CONFIGS = ("config_fed_server.json", "config_fed_client.json")
_FILTERS = ("task_data_filters", "task_result_filters")


class JobComponent(BaseModel, frozen=True):
    """A class that a job's configuration names."""

    file: str
    """The configuration, as a path in the job's folder."""
    path: str
    """The class, such as nvflare.app_common.workflows.fedavg.FedAvg."""


def components_without_code(folder: Path) -> tuple[JobComponent, ...]:
    """Return the classes that the apps without a folder custom/ name, in order and each once per file.

    Args:
        folder: job folder of NVFlare, with meta.json and the apps.
    """
    found = []
    for app in sorted(config.parent for config in folder.glob("*/config")):
        if (app / "custom").exists():
            continue
        for file in [app / "config" / name for name in _CONFIGS]:
            if file.is_file():
                document = json.loads(file.read_text(encoding="utf-8"))
                name = str(file.relative_to(folder))
                found += [JobComponent(file=name, path=path) for path in _classes(document)]
    return tuple(dict.fromkeys(found))


def _classes(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the class of each component, and those of the components in its arguments."""
    entries = [*config.get("components", ()), *config.get("workflows", ())]
    entries += [entry.get("executor") for entry in config.get("executors", ())]
    chains = [chain for kind in _FILTERS for chain in config.get(kind, ())]
    entries += [entry for chain in chains for entry in chain.get("filters", ())]
    for entry in entries:
        if isinstance(entry, Mapping) and (path := _class_path(entry)):
            yield path
            yield from _nested(entry.get("args"))


def _nested(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _nested(item)
    elif isinstance(value, Mapping):
        path = _class_path(value)
        if path and value.get("config_type", "component") == "component":
            yield path
            yield from _nested(value.get("args"))
        else:
            for item in value.values():
                yield from _nested(item)


def _class_path(entry: Mapping[str, Any]) -> str:
    path = entry.get("path", entry.get("class_path"))
    return path if isinstance(path, str) and "." in path else ""
