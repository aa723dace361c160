"""Check a job's configuration for settings that would fail silently, without importing NVFlare.

`flarefleet submit` checks the exported folder. The guard on the server checks jobs from other tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fl_app.guard.finding import Finding

_RECEIVER_PACKAGES = {
    "MLflowReceiver": "mlflow",
    "WandBReceiver": "wandb",
    "TBAnalyticsReceiver": "tensorboard",
}
"""Analytics receivers of NVFlare, each with the package that it needs where it runs."""
_WANDB_ARGUMENTS = ("wandb_args", "mode", "events", "process_timeout")
_WANDB_REQUIRED = ("name", "project", "job_type")
_FLOWER_CONTROLLER = "nvflare.app_opt.flower.controller.FlowerController"
_GUARD = "fl_app.guard.component.JobGuard"
_SERVER_CONFIG, _SITE_CONFIG = "config_fed_server.json", "config_fed_client.json"


@dataclass(frozen=True)
class Component:
    """A component or workflow in a job's configuration."""

    id: str
    path: str
    args: Mapping[str, Any] = field(default_factory=dict)
    """Empty if the configuration has no JSON object here."""

    @property
    def class_name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


def findings_in_job(folder: Path) -> tuple[Finding, ...]:
    """Return the silent failures in the configuration of an exported job.

    Args:
        folder: job folder of NVFlare, with meta.json and the apps.
    """
    found = [
        finding
        for name in (_SERVER_CONFIG, _SITE_CONFIG)
        for file in sorted(folder.glob(f"*/config/{name}"))
        for finding in findings_in_config(_read(file), at="server" if name == _SERVER_CONFIG else "the sites")
    ]
    return tuple(dict.fromkeys(found))


def findings_on_server(fl_ctx: Any) -> tuple[Finding, ...]:
    """Return the silent failures in the server's configuration of the running job, missing packages included.

    Args:
        fl_ctx: any context of the server's job process.
    """
    folder = Path(fl_ctx.get_engine().get_workspace().get_app_config_dir(fl_ctx.get_job_id()))
    return findings_in_config(_read(folder / _SERVER_CONFIG), at="server", check_packages=True)


def findings_in_config(config: Any, at: str, check_packages: bool = False) -> tuple[Finding, ...]:
    """Return the silent failures in one config_fed_server.json or config_fed_client.json.

    Args:
        config: parsed document; an invalid configuration has no findings.
        at: `server` or the name of a site.
        check_packages: whether packages that a component needs must be installed in this environment.
    """
    components = tuple(_listed(config, "components"))
    if any(one.path == _GUARD and one.args.get("enabled") is False for one in components):
        return ()
    found = [finding for workflow in _listed(config, "workflows") for finding in _workflow(workflow, at)]
    for component in components:
        found += _component(component, at)
        if check_packages:
            found += _packages(component, at)
    return tuple(found)


def _component(component: Component, at: str) -> Iterator[Finding]:
    if component.class_name == "NPModelPersistor":
        yield from _numpy_model(component, at)
    elif component.class_name == "MLflowReceiver":
        yield from _mlflow(component, at)
    elif component.class_name == "WandBReceiver":
        yield from _wandb(component, at)


def _workflow(workflow: Component, at: str) -> Iterator[Finding]:
    yield from _flower(workflow, at)
    condition = workflow.args.get("stop_cond")
    if isinstance(condition, str) and "=" in condition.split():
        yield Finding(
            f"{condition}: a metric hardly ever equals a number exactly, so the condition is never met",
            f"Write {condition.replace('=', '>=')} or {condition.replace('=', '<=')}.",
            site=at,
            key=f"{workflow.id} ({workflow.class_name}).stop_cond",
            rule="stop_condition",
        )


def _flower(workflow: Component, at: str) -> Iterator[Finding]:
    if workflow.path == _FLOWER_CONTROLLER:
        yield Finding(
            "NVFlare's Flower integration ignores a ClientApp that raises and reports the job as completed",
            "Use Flarefleet's recipe, fl_app.jobs.flower_recipe.FlowerAppRecipe; "
            "fl_app/jobs/flower_digits/job.py is an example.",
            site=at,
            key=f"{workflow.id} ({workflow.class_name})",
            rule="configuration",
        )


def _numpy_model(component: Component, at: str) -> Iterator[Finding]:
    arguments = component.args
    if arguments.get("model") is None and not arguments.get("source_ckpt_file_full_name"):
        yield Finding(
            "no initial model: NVFlare would train its own array, 3 by 3, with the numbers 1 to 9",
            "Pass the initial model to the recipe: NumpyFedAvgRecipe(model=[[...]], ...).",
            site=at,
            key=f"{component.id} (NPModelPersistor).model",
            rule="configuration",
        )


def _mlflow(component: Component, at: str) -> Iterator[Finding]:
    uri = component.args.get("tracking_uri")
    if isinstance(uri, str) and uri and (uri.startswith("file:") or "://" not in uri):
        yield Finding(
            f"{uri} is a folder, which MLflow 3.17 rejects: nothing would be tracked",
            "Set it to an MLflow server (http://HOST:PORT), or omit tracking_uri to track into a database in "
            "the job's results.",
            site=at,
            key=f"{component.id} (MLflowReceiver).tracking_uri",
            rule="configuration",
        )


def _wandb(component: Component, at: str) -> Iterator[Finding]:
    key = f"{component.id} (WandBReceiver)"
    form = 'Valid arguments: {"mode": "offline", "wandb_args": {"name", "project", "group", "job_type"}}.'
    unknown = sorted(set(component.args) - set(_WANDB_ARGUMENTS))
    if unknown:
        yield Finding(
            f"unknown arguments: {', '.join(unknown)}", form, site=at, key=key, rule="configuration"
        )
        return
    arguments = component.args.get("wandb_args")
    if not isinstance(arguments, Mapping):
        yield Finding("wandb_args is missing", form, site=at, key=key, rule="configuration")
        return
    missing = [name for name in _WANDB_REQUIRED if not arguments.get(name)]
    if missing:
        yield Finding(
            f"wandb_args has no {', '.join(missing)}: nothing would be tracked",
            form,
            site=at,
            key=key,
            rule="configuration",
        )


def _packages(component: Component, at: str) -> Iterator[Finding]:
    package = _RECEIVER_PACKAGES.get(component.class_name)
    needed = [package] if package else []
    if package == "mlflow" and not str(component.args.get("tracking_uri") or "").startswith("http"):
        needed.append("alembic")  # MLflow needs it for a local database; not every distribution includes it
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        yield Finding(
            f"needs the package {' and '.join(missing)}, which is not installed",
            f"Install it there (pip install {' '.join(missing)}), or remove the receiver from the job.",
            site=at,
            key=f"{component.id} ({component.class_name})",
            rule="configuration",
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
        return None  # NVFlare reports an unreadable file itself
