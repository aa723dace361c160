"""What a job's configuration says that cannot work, seen before the job runs; imports nothing of NVFlare.

`flarefleet submit` asks it of the exported folder, and the guard asks it again of jobs that came another way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fl_app.guard.finding import Finding

_RECEIVERS = {"MLflowReceiver": "mlflow", "WandBReceiver": "wandb", "TBAnalyticsReceiver": "tensorboard"}
"""NVFlare's receivers, each with the package that it needs where it runs."""
_WANDB_ARGUMENTS = ("wandb_args", "mode", "events", "process_timeout")
_WANDB_REQUIRED = ("name", "project", "job_type")
_FLOWER = "nvflare.app_opt.flower.controller.FlowerController"
_GUARD = "fl_app.guard.component.JobGuard"
_SERVER_CONFIG, _SITE_CONFIG = "config_fed_server.json", "config_fed_client.json"


@dataclass(frozen=True)
class Component:
    """A component that a job names."""

    id: str
    path: str
    args: Mapping[str, Any] = field(default_factory=dict)
    """Empty also where they are no JSON object."""

    @property
    def class_name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition(".")[2]


def findings_in_job(folder: Path) -> tuple[Finding, ...]:
    """What is wrong with an exported job, so that it would fail in silence.

    Args:
        folder: of NVFlare's job, with meta.json and its apps.
    """
    found = [
        finding
        for name in (_SERVER_CONFIG, _SITE_CONFIG)
        for file in sorted(folder.glob(f"*/config/{name}"))
        for finding in findings_in_config(_read(file), at="server" if name == _SERVER_CONFIG else "the sites")
    ]
    return tuple(dict.fromkeys(found))


def findings_in_config(config: Any, at: str, installed: bool = False) -> tuple[Finding, ...]:
    """What is wrong in one config_fed_server or config_fed_client.

    Args:
        config: the parsed document.
        at: `server` or a site's name.
        installed: whether this is where the job runs, so that packages it needs must be here.
    """
    components = tuple(_listed(config, "components"))
    if any(one.path == _GUARD and one.args.get("enabled") is False for one in components):
        return ()
    found = [finding for workflow in _listed(config, "workflows") for finding in _flower(workflow, at)]
    for component in components:
        found += _judge(component, at)
        needed = _RECEIVERS.get(component.class_name)
        if installed and needed:
            found += _packages(component, needed, at)
    return tuple(found)


def _judge(component: Component, at: str) -> Iterator[Finding]:
    if component.class_name == "NPModelPersistor":
        yield from _numpy_model(component, at)
    elif component.class_name == "MLflowReceiver":
        yield from _mlflow(component, at)
    elif component.class_name == "WandBReceiver":
        yield from _wandb(component, at)


def _flower(workflow: Component, at: str) -> Iterator[Finding]:
    if workflow.path == _FLOWER:
        yield Finding(
            "NVFlare's own bridge to Flower goes on without a ClientApp that raises, and says completed",
            "Run the app with the kit's: fl_app.flower.recipe.FlowerAppRecipe, as "
            "fl_app/jobs/flower_digits/job.py does.",
            site=at,
            key=f"{workflow.id} ({workflow.class_name})",
        )


def _numpy_model(component: Component, at: str) -> Iterator[Finding]:
    arguments = component.args
    if arguments.get("model") is None and not arguments.get("source_ckpt_file_full_name"):
        yield Finding(
            "no model is given, and NVFlare would train an array of its own: 3 by 3, from 1 to 9",
            "Give the recipe the initial model: NumpyFedAvgRecipe(model=[[...]], ...).",
            site=at,
            key=f"{component.id} (NPModelPersistor).model",
        )


def _mlflow(component: Component, at: str) -> Iterator[Finding]:
    uri = component.args.get("tracking_uri")
    if isinstance(uri, str) and uri and (uri.startswith("file:") or "://" not in uri):
        yield Finding(
            f"{uri} is a folder, which MLflow 3.17 refuses, and nothing would be tracked",
            "Name an MLflow server (http://HOST:PORT), or leave tracking_uri out: then it is a database in "
            "the job's results.",
            site=at,
            key=f"{component.id} (MLflowReceiver).tracking_uri",
        )


def _wandb(component: Component, at: str) -> Iterator[Finding]:
    key = f"{component.id} (WandBReceiver)"
    form = 'Its arguments are {"mode": "offline", "wandb_args": {"name", "project", "group", "job_type"}}.'
    unknown = sorted(set(component.args) - set(_WANDB_ARGUMENTS))
    if unknown:
        yield Finding(f"does not know {', '.join(unknown)}", form, site=at, key=key)
        return
    arguments = component.args.get("wandb_args")
    if not isinstance(arguments, Mapping):
        yield Finding("has no wandb_args", form, site=at, key=key)
        return
    missing = [name for name in _WANDB_REQUIRED if not arguments.get(name)]
    if missing:
        yield Finding(
            f"wandb_args has no {', '.join(missing)}, and nothing would be tracked", form, site=at, key=key
        )


def _packages(component: Component, needed: str, at: str) -> Iterator[Finding]:
    wanted = [needed]
    if needed == "mlflow" and not str(component.args.get("tracking_uri") or "").startswith("http"):
        wanted.append("alembic")  # of a database of its own, and not in every distribution of MLflow
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        yield Finding(
            f"needs the package {' and '.join(missing)}, which is not installed here",
            f"Install it there (pip install {' '.join(missing)}), or take the receiver out of the job.",
            site=at,
            key=f"{component.id} ({component.class_name})",
        )


def _listed(config: Any, kind: str) -> Iterator[Component]:
    listed = config.get(kind) if isinstance(config, Mapping) else None
    for entry in listed if isinstance(listed, list) else ():
        path = entry.get("path") or entry.get("class_path") if isinstance(entry, Mapping) else None
        if isinstance(path, str):
            args = entry.get("args")
            yield Component(str(entry.get("id", "?")), path, args if isinstance(args, Mapping) else {})


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # NVFlare itself says so
