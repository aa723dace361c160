"""NVFlare's admin console."""

from __future__ import annotations

import subprocess
import sys

from deploy.session.kit import AdminKit

TRANSFER_FOLDER = "transfer"
"""Folder in the kit for submitted jobs and downloads of the console."""


def run_console(kit: AdminKit) -> int:
    """Run the console until the user leaves it; return its exit status.

    The console runs with the installed NVFlare; fl_admin.sh in the kit would use the first `python3` on PATH.
    If stdin is a pipe, its first line must be the user's name.

    Raises:
        Failed: the server does not answer, or the certificate is invalid.
    """
    kit.check()
    (kit.folder / TRANSFER_FOLDER).mkdir(exist_ok=True)
    console = (sys.executable, "-m", "nvflare.fuel.hci.tools.admin")
    command = [*console, "-m", str(kit.folder), "-s", "fed_admin.json"]
    return subprocess.run(command, check=False).returncode
