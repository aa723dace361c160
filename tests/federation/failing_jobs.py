"""Jobs that fail at site-2 in one way each, and what the user must read about each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.federation import guarded_jobs

FOLDER = Path(__file__).parent
CLIENT, COMPONENTS = FOLDER / "failing_client.py", FOLDER / "failing_components.py"


@dataclass(frozen=True)
class Failing:
    """A job of the table."""

    error: str
    """Regular expression of the error that `flarefleet watch` shows for site-2."""
    case: str = ""
    """Argument of the client script."""
    is_external: bool = False
    """Whether the script runs in a process of its own."""
    component: str = ""
    """Class of `failing_components` that the job has, instead of a script that fails."""
    end_seconds: float = 40.0
    """Seconds from the failure within which the job must end, on a busy machine."""


_MISSING = r"^ModuleNotFoundError: No module named 'medpy' \(failing_client\.py:\d+\)"
_RAISED = r"^ValueError: negative age in row 7 \(failing_client\.py:\d+\), in round 2\n(.*\n)*.*negative age"
_LATE = 80.0
"""NVFlare gives up a training process that does not exit after 30 s."""

FAILING: Mapping[str, Failing] = {
    "script-missing-package": Failing(_MISSING, "missing-package"),
    "script-raises": Failing(_RAISED, "raises"),
    "script-exits": Failing(r"^its script called sys\.exit\(3\) before it sent a result \(failing", "exits"),
    "script-ends": Failing(r"^its script ended without sending a result.*, in round 1", "ends"),
    "script-never-sends": Failing(r"^its script received the same model \d+ times", "never-sends"),
    "script-exits-hard": Failing(
        r"^its job process ended with exit code 0 in the middle of the task 'train', in round 2", "exits-hard"
    ),
    "script-crashes": Failing(
        r"^its job process was killed by signal 11 \(SIGSEGV\), 3 times without progress in the middle of "
        r"the task 'train' \(failing_client\.py:\d+\), in round 2",
        "crashes",
    ),
    "process-missing-package": Failing(_MISSING, "missing-package", is_external=True),
    "process-raises": Failing(_RAISED, "raises", is_external=True),
    "process-exits": Failing(
        r"^its training process ended before it sent a result, in round 2(.*\n)*.*reading images of round 2",
        "exits",
        is_external=True,
        end_seconds=_LATE,
    ),
    "process-never-sends": Failing(
        r"^RuntimeError: its script received the same model 5 times without sending a result",
        "never-sends",
        is_external=True,
    ),
    "process-exits-hard": Failing(
        r"^its training process ended.* before it sent a result, in round 2", "exits-hard", is_external=True
    ),
    "process-crashes": Failing(
        r"^Segmentation fault \(failing_client\.py:\d+\), in round 2", "crashes", is_external=True
    ),
    "executor-raises": Failing(
        r"^KeyError: 'age' \(failing_components\.py:\d+\), in round 1", component="RaisingExecutor"
    ),
    "filter-raises": Failing(
        r"^KeyError: 'age' \(failing_components\.py:\d+\), in round 1", component="RaisingFilter"
    ),
    "component-missing-package": Failing(
        r"^ModuleNotFoundError: No module named 'medpy' \(failing_components\.py:\d+\)",
        component="NeedsMissingPackage",
    ),
}

ABORTED = "aborted"
"""A job that runs until it is aborted."""

GOOD: Mapping[str, Failing] = {
    "good-raises-at-the-end": Failing("", "raises-at-the-end"),
    "good-asks-often": Failing("", "asks-often"),
    "good-process-holds-lock": Failing("", "holds-lock", is_external=True),
}
"""Jobs that only look as if they failed, and complete."""


def write(name: str, folder: Path) -> tuple[Path, Path]:
    """Write the folder of a job; return it and the file that will exist when the failure has happened."""
    failing = {**FAILING, **GOOD, ABORTED: Failing("", "sleeps")}[name]
    mark = folder / f"{name}.mark"
    more: dict[str, object] = {"train_script": str(CLIENT)}
    if failing.is_external:
        scripts = folder / "scripts" / name
        scripts.mkdir(parents=True)
        more = {"train_script": str(shutil.copy(CLIENT, scripts)), "launch_external_process": True}
    recipe = guarded_jobs.numpy_job(name, f"{failing.case or 'none'} {mark}", **more)
    job = guarded_jobs.export(recipe, folder)
    if failing.component:
        _add_component(job, failing.component, mark)
    return job, mark


def _add_component(job: Path, name: str, mark: Path) -> None:
    custom = job / "app" / "custom"
    custom.mkdir(exist_ok=True)
    shutil.copy(COMPONENTS, custom)
    file = job / "app" / "config" / "config_fed_client.json"
    config = json.loads(file.read_text())
    component = {"path": f"failing_components.{name}", "args": {"mark": str(mark)}}
    if name == "RaisingExecutor":
        config["executors"][0]["executor"] = component
    else:
        config["task_result_filters"] = [{"tasks": ["train"], "filters": [component]}]
    file.write_text(json.dumps(config))
