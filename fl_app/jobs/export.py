"""Export a job in a process of its own: `python -m fl_app.jobs.export JOB`, a JSON request on stdin.

`flarefleet submit` starts this process before it logs in: importing torch and NVFlare's recipes takes longer
than the login. What a recipe imports or prints stays in this process.
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fl_app.jobs.components import JobComponent, components_without_code
from fl_app.jobs.custom_jobs import copy_packages, packages_of
from fl_app.jobs.description import JobDescription
from fl_app.jobs.parameters import JobWarning
from fl_app.jobs.registry import find
from fl_app.jobs.user_code import UserCodeError, user_code_error

SERVER = "server"


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
    components: tuple[JobComponent, ...] = ()
    """Classes that the server and the sites must allow."""
    warnings: tuple[str, ...] = ()
    """Probable mistakes in the parameters: see `JobWarning`."""
    error: str = ""
    """Why the recipe rejects the parameters or the sites."""
    user_error: str = ""
    """Where the user's own code fails: see `UserCodeError`."""


def export(job: JobDescription, request: ExportRequest) -> ExportReply:
    """Export `job` into request.folder/JOB.

    Raises:
        UserCodeError: the code of a user's own job fails.
        ValueError: the recipe rejects these parameters or sites.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", JobWarning)
            recipe = job.recipe(job.parameters.model_validate(request.parameters), request.sites)
        recipe.export(str(request.folder))
    except ValueError:
        raise
    except (Exception, SystemExit) as error:
        found = user_code_error(error, job.folder) if job.folder else None
        raise found or error from error
    folder = request.folder / recipe.name
    _make_script_paths_relative(folder)
    if job.folder:
        copy_packages(packages_of(job.folder), folder)
    meta_file = folder / "meta.json"
    meta = json.loads(meta_file.read_text(encoding="utf-8"))
    if request.only_these or getattr(recipe, "quorum", False):  # a named site may join later
        targets = [SERVER, *request.sites]
        meta["deploy_map"] = {
            app: targets if sites == ["@ALL"] else sites for app, sites in meta["deploy_map"].items()
        }
        meta_file.write_text(json.dumps(meta, indent=2), encoding="utf-8")
    texts = tuple(str(one.message) for one in caught if issubclass(one.category, JobWarning))
    return ExportReply(
        folder=folder,
        min_clients=int(meta["min_clients"]),
        warnings=texts,
        components=components_without_code(folder),
    )


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
    reply_to, sys.stdout = sys.stdout, sys.stderr
    job = find(sys.argv.pop())
    _warm_up(job)
    line = sys.stdin.readline()
    if not line:
        return
    try:
        reply = export(job, ExportRequest.model_validate_json(line))
    except UserCodeError as error:
        reply = ExportReply(user_error=str(error))
    except ValueError as error:
        reply = ExportReply(error=str(error))
    print(reply.model_dump_json(), file=reply_to, flush=True)


if __name__ == "__main__":
    main()
