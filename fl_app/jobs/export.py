"""Export a job in a process of its own: `python -m fl_app.jobs.export JOB`, a JSON request on stdin.

`flarefleet submit` starts this process before it logs in: importing torch and NVFlare's recipes takes longer
than the login. What a recipe imports or prints stays in this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fl_app.contract import PARAMETERS_PROPERTY
from fl_app.jobs.components import JobComponent, components_without_code
from fl_app.jobs.custom_jobs import copy_packages, packages_of
from fl_app.jobs.description import InvalidJob, JobDescription
from fl_app.jobs.parameters import JobWarning
from fl_app.jobs.registry import find
from fl_app.jobs.user_code import UserCodeError, user_code_error

SERVER, ALL = "server", "@ALL"
"""Names in a job's deploy_map: the server, and the server with all sites."""


class ExportRequest(BaseModel, frozen=True):
    """Parameters and sites of an export."""

    parameters: dict[str, Any]
    sites: tuple[str, ...]
    only_these: bool
    """Whether the job is deployed to these sites alone; otherwise to the whole federation."""
    folder: Path
    """Parent of the job's folder."""


class ExportReply(BaseModel, frozen=True):
    """The exported folder, or the reason why there is none."""

    folder: Path | None = None
    min_clients: int = 0
    """Number of sites that the job needs to start."""
    mandatory: tuple[str, ...] = ()
    """Sites that the job needs to start."""
    sites: tuple[str, ...] = ()
    """Sites that the job names; empty if it is deployed to all."""
    components: tuple[JobComponent, ...] = ()
    """Classes that the server and the sites must allow."""
    warnings: tuple[str, ...] = ()
    """Probable mistakes in the parameters: see `JobWarning`."""
    error: str = ""
    """Why the recipe rejects the parameters or the sites."""
    user_error: str = ""
    """Where the user's own code fails, or why it is no job: see `UserCodeError` and `InvalidJob`."""


def export(job: JobDescription, request: ExportRequest) -> ExportReply:
    """Export `job` into request.folder/JOB.

    Raises:
        UserCodeError: the code of a user's own job fails.
        InvalidJob: a user's script, folder or archive is no job.
        ValueError: the recipe rejects these parameters or sites.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", JobWarning)
            recipe = job.recipe(job.parameters.model_validate(request.parameters), request.sites)
        recipe.export(str(request.folder))
    except (Exception, SystemExit) as error:
        if isinstance(error, InvalidJob) or (isinstance(error, ValueError) and not job.file):
            raise
        own = job.folder or (job.file and job.file.parent)
        found = user_code_error(error, own) if own else None
        raise found or error from error
    folder = request.folder / recipe.name
    _make_script_paths_relative(folder)
    if job.folder:
        copy_packages(packages_of(job.folder), folder)
    meta_file = folder / "meta.json"
    meta = json.loads(meta_file.read_text(encoding="utf-8"))
    if request.only_these or getattr(recipe, "quorum", False):  # a named site may join later
        _deploy_to(meta, request.sites, job)
    if request.parameters:
        meta["custom_props"] = {**(meta.get("custom_props") or {}), PARAMETERS_PROPERTY: request.parameters}
    meta_file.write_text(json.dumps(meta, indent=2), encoding="utf-8")
    texts = tuple(str(one.message) for one in caught if issubclass(one.category, JobWarning))
    return ExportReply(
        folder=folder,
        min_clients=int(meta.get("min_clients") or 1),
        mandatory=tuple(meta.get("mandatory_clients") or ()),
        sites=named_sites(meta),
        warnings=texts,
        components=components_without_code(folder),
    )


def _deploy_to(meta: dict[str, Any], sites: Sequence[str], job: JobDescription) -> None:
    """Deploy the apps for all sites to these alone.

    Raises:
        ValueError: the job names its sites itself.
    """
    if job.file and (named := named_sites(meta)):
        raise ValueError(f"it names its sites itself ({', '.join(named)}); omit --site")
    targets = [SERVER, *sites]
    for app, targeted in meta["deploy_map"].items():
        meta["deploy_map"][app] = targets if ALL in _names(targeted) else targeted


def named_sites(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the sites that the meta.json of a job names; empty if one of its apps is for all sites."""
    targets = [target for targeted in meta["deploy_map"].values() for target in _names(targeted)]
    return () if ALL in targets else tuple(name for name in targets if name != SERVER)


def _names(targeted: Any) -> list[str]:
    """Return the participants of an app: names, or objects with them such as {"sites": [...]}."""
    if isinstance(targeted, str):
        return [ALL if targeted.casefold() == ALL.casefold() else targeted]
    if isinstance(targeted, Mapping):
        return _names(targeted.get("targets") or targeted.get("sites") or [])
    return [name for entry in targeted for name in _names(entry)]


def _make_script_paths_relative(folder: Path) -> None:
    """Replace each training script's absolute path by its path within the job.

    NVFlare copies the script into the job, but tells the sites its path on this machine.
    """
    for config_file in folder.glob("*/config/config_fed_client.json"):
        custom = config_file.parents[1] / "custom"
        config = json.loads(config_file.read_text(encoding="utf-8"))
        for entry in config.get("executors", ()):
            arguments = entry["executor"].get("args", {})
            script = Path(arguments.get("task_script_path") or "")
            copies = list(custom.rglob(script.name)) if script.is_absolute() else []
            if copies:
                arguments["task_script_path"] = str(copies[0].relative_to(custom))
                config_file.write_text(json.dumps(config, indent=2), encoding="utf-8")


def _warm_up(job: JobDescription) -> None:
    """Import slow modules early. The recipe imports them again and then reports their errors."""
    for module in job.warm_up:
        with contextlib.suppress(Exception):
            import_module(module)


def main() -> None:
    """Answer one request."""
    # Programs that a script starts write to stdout, too: only the reply goes to the caller.
    reply_to = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    job = find(sys.argv.pop())
    _warm_up(job)
    line = sys.stdin.readline()
    if not line:
        return
    try:
        reply = export(job, ExportRequest.model_validate_json(line))
    except (UserCodeError, InvalidJob) as error:
        reply = ExportReply(user_error=str(error))
    except ValueError as error:
        reply = ExportReply(error=str(error))
    print(reply.model_dump_json(), file=reply_to, flush=True)
    sys.stderr.flush()
    os._exit(0)  # a script may have started threads that do not end


if __name__ == "__main__":
    main()
