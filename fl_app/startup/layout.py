"""The kit, laid out in the workspace as NVFlare wants it, with the few values that depend on where it runs.

The kit may be read-only and is never changed. The private key is linked, not copied. What NVFlare looks up by
walking the whole workspace (its resources and its communication settings) also lies at the workspace's top,
where the walk begins: it is found at once, and no file of a job can stand in for it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fl_app.contract import WORKSPACE_PATH
from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.kit import Kit
from fl_app.startup.settings import Settings

if TYPE_CHECKING:
    from fl_app.startup.pods import JobPods

COMMUNICATION = "comm_config.json"
NOT_NEEDED = (".key", ".sh", ".ipynb")
"""Of startup/: the key is linked; nothing here runs a shell."""


def lay_out(kit: Kit, settings: Settings) -> None:
    """Write startup/ and local/ of the workspace anew.

    Raises:
        StartupError: a file of the kit is no JSON, or what describes its job pods is damaged.
    """
    workspace = settings.workspace
    pods = _job_pods(settings.jobs) if settings.jobs else None
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
        _write(workspace / name, source.read_bytes())


def _job_pods(folder: Path) -> JobPods:
    from fl_app.startup.pods import JobPods  # builds pydantic models, for which no other parent should wait

    return JobPods(folder)


def _replace(folder: Path, fill: Callable[[Path], None]) -> None:
    """Fill a new folder and put it in the place of the old one."""
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    new.mkdir(mode=0o700)
    fill(new)
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _write_startup(kit: Kit, settings: Settings, folder: Path) -> None:
    for file in _files(kit.startup):
        if file.suffix not in NOT_NEEDED:
            _write(folder / file.relative_to(kit.startup), file.read_bytes())
    (folder / kit.key.name).symlink_to(kit.key)
    if kit.facts.role == "client" and settings.server_address:
        host, port = settings.server_address
        target = folder / kit.nvflare_file.name
        document = read_json(target)
        document["servers"][0]["service"]["target"] = f"{host}:{port}"
        _write(target, _json(document))


def _write_local(kit: Kit, settings: Settings, pods: JobPods | None, folder: Path) -> None:
    for file in _files(kit.local):
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
    """NVFlare's communication settings, with the port on which job processes reach this parent."""
    document = read_json(file) if file.exists() else {}
    internal = document.setdefault("internal", {})
    internal.setdefault("scheme", "tcp")
    internal.setdefault("resources", {"host": "127.0.0.1"})["port"] = parent_port
    return document


def _relocated(value: Any, workspace: Path) -> Any:
    """The same document, with every path on the containers' workspace volume put onto this workspace."""
    if isinstance(value, dict):
        return {key: _relocated(item, workspace) for key, item in value.items()}
    if isinstance(value, list):
        return [_relocated(item, workspace) for item in value]
    if isinstance(value, str) and (value == str(WORKSPACE_PATH) or value.startswith(f"{WORKSPACE_PATH}/")):
        return str(workspace) + value[len(str(WORKSPACE_PATH)) :]
    return value


def _files(folder: Path) -> Iterator[Path]:
    """Every file below `folder`, but for what Kubernetes keeps beside the files of a mounted ConfigMap."""
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith("..") and name != "__pycache__"]
        yield from (Path(where, name) for name in names)


def read_json(file: Path) -> Any:
    """The document in `file`.

    Raises:
        StartupError: it is no JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StartupError(Exit.CONFIGURATION, f"{file} is not JSON: {error}") from error


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()


def _write(file: Path, content: bytes) -> None:
    """Write beside and rename: 0600, whatever the kit's mode."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:  # noqa: PTH123
        out.write(content)
    beside.rename(file)
