"""Puts a job together in a process of its own: `python -m fl_app.jobs.export JOB`, with the rest on stdin as
JSON.

Importing torch and NVFlare's recipes takes longer than logging in to a server, so `flarefleet submit` starts
this first and asks for its job once it knows the sites. What a recipe imports or prints stays here, too.
"""

from __future__ import annotations

import contextlib
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fl_app.jobs.custom_jobs import packages_of, send_along
from fl_app.jobs.registry import JobDescription, find

SERVER = "server"


class ExportRequest(BaseModel, frozen=True):
    """What is to be put together."""

    parameters: dict[str, Any]
    sites: tuple[str, ...]
    only_these: bool
    """Whether the job is for these sites alone, although the federation has others."""
    folder: Path
    """Where the job's folder is made."""


class ExportReply(BaseModel, frozen=True):
    """What came of it: a folder, or what is wrong."""

    folder: Path | None = None
    min_clients: int = 0
    """How many sites must be there for the job to start."""
    error: str = ""


def export(job: JobDescription, request: ExportRequest) -> ExportReply:
    """Put `job` together into request.folder/JOB.

    Raises:
        ValueError: its recipe refuses these parameters or sites.
    """
    recipe = job.recipe(job.parameters.model_validate(request.parameters), request.sites)
    recipe.export(str(request.folder))
    folder = request.folder / recipe.name
    _name_scripts_as_they_travel(folder)
    if job.folder:
        send_along(packages_of(job.folder), folder)
    meta_file = folder / "meta.json"
    meta = json.loads(meta_file.read_text(encoding="utf-8"))
    if request.only_these:
        targets = [SERVER, *request.sites]
        meta["deploy_map"] = {
            app: targets if sites == ["@ALL"] else sites for app, sites in meta["deploy_map"].items()
        }
        meta_file.write_text(json.dumps(meta, indent=2), encoding="utf-8")
    return ExportReply(folder=folder, min_clients=int(meta["min_clients"]))


def _name_scripts_as_they_travel(folder: Path) -> None:
    """Name each training script by where it lies in the job, not on this machine.

    NVFlare copies a script that a recipe names by its absolute path into the job, and then has the sites look
    for it under that path, which is right on no other machine.
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
    for module in job.warm_up:
        with contextlib.suppress(ImportError):
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
    except ValueError as error:
        reply = ExportReply(error=str(error))
    print(reply.model_dump_json(), file=reply_to, flush=True)


if __name__ == "__main__":
    main()
