"""A command imports only what it needs: imports are most of a short command's CPU time."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.federation.federation import write_project

HEAVY = (
    "cryptography",
    "docker",
    "jinja2",
    "kubernetes",
    "numpy",
    "nvflare",
    "nvflare.job_config",
    "pydantic",
    "rich",
    "rich.table",
    "tensorboard",
    "torch",
    "yaml",
)
"""Packages that take more than 10 ms of CPU time."""
COMMAND = {"pydantic", "rich", "yaml"}
"""What every command needs that reads project.yml and prints a line."""
STEPS = {
    "--help": set[str](),
    "--version": {"pydantic"},
    "check": COMMAND,
    "down": COMMAND,
    "status": COMMAND,
    "jobs --available": COMMAND,
    "a session": COMMAND | {"cryptography", "nvflare", "nvflare.job_config"},
}
"""Command, or the import of an administrator's session -> the heavy packages that it loads; in this order."""
PROGRAM = """
import contextlib, io, json, sys
from deploy.cli.app import main
found = {}
for step in json.loads(sys.argv.pop()):
    if step == "a session":
        from deploy.session import open_session
        import nvflare.fuel.flare_api.flare_api
    else:
        sys.argv[1:] = step.split()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            main()
    found[step] = [name for name in %r if name in sys.modules]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the heavy packages in memory after each step, all of them in one process."""
    folder = tmp_path_factory.mktemp("imports")
    write_project(folder, sites=1)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % (HEAVY,), json.dumps(list(STEPS))],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("step", STEPS)
def test_a_command_imports_only_the_heavy_packages_that_it_needs(
    loaded: dict[str, list[str]], step: str
) -> None:
    assert set(loaded[step]) <= STEPS[step]
