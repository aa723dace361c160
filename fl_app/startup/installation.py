"""Install the kit into the workspace in the layout that NVFlare expects, with the values of this environment.

The kit may be read-only and is never changed. The private key is linked, not copied. NVFlare searches the
whole workspace for its resources and communication settings. Copies at the top of the workspace, where the
search begins, are found first, so that no file of a job can replace them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.checks.kit import Kit
from fl_app.contract import CONTEXT_SUFFIX, WORKSPACE_PATH
from fl_app.files import PRIVATE_FILE, PRIVATE_FOLDER, write_atomically
from fl_app.startup.encryption_context import SIGNATURES, install_context
from fl_app.startup.settings import Settings

if TYPE_CHECKING:
    from fl_app.startup.job_pod_config import JobPodConfig

COMMUNICATION = "comm_config.json"
NOT_INSTALLED = (".key", CONTEXT_SUFFIX, ".sh", ".ipynb")
"""Suffixes in startup/: the keys are linked, and nothing runs NVFlare's shell scripts."""


def install_kit(kit: Kit, settings: Settings) -> None:
    """Replace startup/ and local/ of the workspace.

    Raises:
        StartupError: a file of the kit is not JSON, or the description of job pods is invalid.
    """
    workspace = settings.workspace
    pods = None
    if settings.jobs:
        # Imported here: it builds pydantic models, which parents without job pods do not need.
        from fl_app.startup.job_pod_config import JobPodConfig

        pods = JobPodConfig(settings.jobs)
    _replace(workspace / "startup", lambda folder: _write_startup(kit, settings, folder))
    _replace(workspace / "local", lambda folder: _write_local(kit, settings, pods, folder))
    (workspace / "transfer").mkdir(exist_ok=True)
    resources = workspace / "local" / "resources.json"
    if not resources.exists():
        resources = workspace / "local" / "resources.json.default"
    for source, name in (
        (resources, "resources.json"),
        (workspace / "local" / COMMUNICATION, COMMUNICATION),
        (workspace / "startup" / kit.nvflare_file.name, kit.nvflare_file.name),
    ):
        write_atomically(workspace / name, source.read_bytes(), PRIVATE_FILE)


def _replace(folder: Path, fill: Callable[[Path], None]) -> None:
    """Fill a new folder, then swap it with the old one."""
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    new.mkdir(mode=PRIVATE_FOLDER)
    fill(new)
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _write_startup(kit: Kit, settings: Settings, folder: Path) -> None:
    for file in _files(kit.startup):
        if file.suffix not in NOT_INSTALLED and file.name != SIGNATURES:
            _write(folder / file.relative_to(kit.startup), file.read_bytes())
    (folder / kit.key.name).symlink_to(kit.key)
    install_context(kit, folder)
    if kit.facts.role == "client" and settings.server_address:
        host, port = settings.server_address
        target = folder / kit.nvflare_file.name
        document = read_json(target)
        document["servers"][0]["service"]["target"] = f"{host}:{port}"
        _write(target, _json(document))


def _write_local(kit: Kit, settings: Settings, pods: JobPodConfig | None, folder: Path) -> None:
    for file in _files(kit.local):
        if file.name == SIGNATURES:
            continue
        target = folder / file.relative_to(kit.local)
        if file.name.endswith((".json", ".json.default")):
            _write(target, _json(_relocated(read_json(file), settings.workspace)))
        else:
            _write(target, file.read_bytes())
    communication = _communication(folder / COMMUNICATION, settings.parent_port)
    if pods is not None:
        communication = pods.communication(communication)
        for name in ("resources.json", "resources.json.default"):
            if (folder / name).exists():
                _write(folder / name, _json(pods.resources(read_json(folder / name), kit.facts.role)))
        for name, content in pods.local_files.items():
            _write(folder / name, content)
    _write(folder / COMMUNICATION, _json(communication))


def _communication(file: Path, parent_port: int) -> dict[str, Any]:
    """Return NVFlare's communication settings with the port at which job processes connect to this parent."""
    document = read_json(file) if file.exists() else {}
    internal = document.setdefault("internal", {})
    internal.setdefault("scheme", "tcp")
    internal.setdefault("resources", {"host": "127.0.0.1"})["port"] = parent_port
    return document


def _relocated(value: Any, workspace: Path) -> Any:
    """Replace the path of the containers' workspace volume by `workspace` in every string of a document."""
    if isinstance(value, dict):
        return {key: _relocated(item, workspace) for key, item in value.items()}
    if isinstance(value, list):
        return [_relocated(item, workspace) for item in value]
    if isinstance(value, str) and (value == str(WORKSPACE_PATH) or value.startswith(f"{WORKSPACE_PATH}/")):
        return str(workspace) + value[len(str(WORKSPACE_PATH)) :]
    return value


def _files(folder: Path) -> Iterator[Path]:
    """Yield every file below `folder`, except Kubernetes' hidden copies of a mounted ConfigMap."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith("..") and name != "__pycache__"]
        yield from (Path(parent, name) for name in names)


def read_json(file: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        StartupError: the file is not JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StartupError(Exit.CONFIGURATION, f"{file} is not JSON: {error}") from error


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()


def _write(file: Path, content: bytes) -> None:
    """Write a private file into a folder that is not in its place yet."""
    file.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    file.touch(mode=PRIVATE_FILE)
    file.write_bytes(content)
