"""NVFlare's admin console."""

from __future__ import annotations

import subprocess
import sys

from deploy.session.kit import AdminKit

TRANSFER_FOLDER = "transfer"
"""Folder in the kit for submitted jobs and downloads of the console."""
_PYTHON = (sys.executable, "-m")


def run_console(kit: AdminKit) -> int:
    """Run the console until the user leaves it; return its exit status: 1 if a command of a pipe failed.

    The console runs with the installed NVFlare; fl_admin.sh in the kit would use the first `python3` on PATH.
    It asks for the user's name first. If stdin is a pipe, the name is given from the kit.

    Raises:
        Failed: the server does not answer, or the certificate is invalid.
    """
    kit.check()
    (kit.folder / TRANSFER_FOLDER).mkdir(exist_ok=True)
    arguments = ("-m", str(kit.folder), "-s", "fed_admin.json")
    if sys.stdin.isatty():
        return subprocess.run([*_PYTHON, "nvflare.fuel.hci.tools.admin", *arguments], check=False).returncode
    command = [*_PYTHON, "deploy.session.console_program", *arguments]
    return subprocess.run(
        command, check=False, input=_typed(kit.user, sys.stdin.read()), text=True
    ).returncode


def _typed(user: str, commands: str) -> str:
    """Return what to type into the console: the user's name, unless it is there, and the commands."""
    return commands if commands.partition("\n")[0].strip() == user else f"{user}\n{commands}"
