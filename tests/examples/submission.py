"""The three ways to submit an example: the kit's command, NVFlare's command, and a recipe's `execute`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from example_jobs.recipes import EXAMPLES

from tests.federation.federation import ADMIN, Federation

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SITES = ("site-1", "site-2")


def by_flarefleet(federation: Federation, example: str, folder: Path) -> list[str]:
    """Return the command `flarefleet submit`."""
    job = str(Path(__file__).parent)
    settings = [word for value in (f"example={example}", f"folder={folder}") for word in ("--set", value)]
    return federation.command("submit", job, "--detach", *settings)


def by_nvflare(federation: Federation, example: str, folder: Path) -> list[str]:
    """Return the command `nvflare job submit`, for the exported job in `folder`."""
    program = str(Path(sys.executable).with_name("nvflare"))
    kit = str(federation.kit(ADMIN))
    return [program, "--format", "json", "job", "submit", "-j", str(folder / example), "--startup-kit", kit]


def by_recipe(federation: Federation, example: str, folder: Path) -> list[str]:
    """Return a command that calls `recipe.execute(ProdEnv(...))`."""
    arguments = [str(federation.kit(ADMIN)), ADMIN, example, str(folder)]
    return [sys.executable, "-m", "tests.examples.submission", *arguments]


def start(command: list[str], folder: Path) -> subprocess.Popen[str]:
    """Start a command that submits a job, in a process that can import the tests."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def job_id(process: subprocess.Popen[str]) -> str:
    """Return the id that the command printed."""
    out, err = process.communicate(timeout=240)
    found = ID.search(out)
    assert process.returncode == 0 and found, f"{process.args}:\n{out}\n{err}"
    return found.group()


def main() -> None:
    """Execute a recipe in NVFlare's environment of a running federation, and print the id of its job."""
    from nvflare.recipe.prod_env import ProdEnv

    kit, user, example, folder = sys.argv[1:]
    recipe = EXAMPLES[example](example, SITES, Path(folder))
    print(recipe.execute(ProdEnv(startup_kit_location=kit, username=user)).get_job_id())


if __name__ == "__main__":
    main()
