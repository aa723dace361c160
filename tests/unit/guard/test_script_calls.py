"""A script in a training process that loops without sending is ended with the reason, in real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fl_app.guard.script_calls import FOLDER, check_in_training_processes

START = """
import types
from nvflare.client.cell.api import CellClientAPI
api = CellClientAPI.__new__(CellClientAPI)
api._is_control_rank, api._closed, api._abort, api._stopped, api._fl_model = True, False, False, False, None
api._receive_called = False
tasks = iter(range(8))
CellClientAPI._await_task = lambda self, timeout: next(
    ({"task": {}, "model": types.SimpleNamespace(number=n)} for n in tasks), None)
api._attach, api._result_receiver_ids = None, None

def send(keep=False):
    api._closed = True  # NVFlare sends nothing: there is no site
    api.send(None)
    api._closed = False
    api._fl_model = api._fl_model if keep else None

"""
REASON = "its script received the same model 5 times without sending a result: flare.send() is missing"


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as NVFlare does at a site whose job process has prepared its environment."""
    path = list(sys.path)
    check_in_training_processes(path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    file = folder / "script.py"
    file.write_text(START + script, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(file)], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_a_script_that_never_sends_ends_with_the_reason(tmp_path: Path) -> None:
    done = run(tmp_path, "while api.is_running():\n    api.receive()\n")
    assert done.returncode == 1
    assert REASON in done.stderr


@pytest.mark.parametrize(
    "loop",
    [
        "while api.is_running():\n    for _ in range(9):\n        api.receive()\n    send()\n",
        "while api.receive():\n    for _ in range(9):\n        api.is_running()\n    send()\n",
        "for n in range(8):\n    api.is_running(); api.receive()\n    if n == 3: send()\n",
        "for n in range(8):\n    api.is_running(); api.receive(); send(keep=True)\n",
    ],
    ids=[
        "asks for its model often, as Lightning",
        "asks whether it runs often",
        "sends at last",
        "keeps its model",
    ],
)
def test_a_script_that_sends_is_not_ended(tmp_path: Path, loop: str) -> None:
    done = run(tmp_path, loop)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_sitecustomize_of_the_environment_is_imported_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('custom')\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER), str(tmp_path)])}
    done = subprocess.run(
        [sys.executable, "-c", "print('script')"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "custom\nscript\n"


@pytest.mark.parametrize("content", ["", "class CellClientAPI: pass\n"])
def test_a_script_with_another_client_api_starts(tmp_path: Path, content: str) -> None:
    (tmp_path / "api.py").write_text(content, encoding="utf-8")
    script = f"""
import nvflare.client.cell
nvflare.client.cell.__path__[:] = [{str(tmp_path)!r}]
import nvflare.client.cell.api as api
assert api.__file__.startswith({str(tmp_path)!r})
print("started")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("started\n", "")


def test_the_path_is_extended_once() -> None:
    path = ["/custom"]
    for _ in range(2):
        check_in_training_processes(path)
    assert path == [str(FOLDER), "/custom"]
