"""NVFlare's own admin console, on an administrator's kit: for a person, or for commands from a pipe."""

from __future__ import annotations

import subprocess
import sys

from deploy.session.kit import AdminKit

TRANSFER_FOLDER = "transfer"
"""In the kit: where the console looks for jobs to submit and puts what it downloads."""


def run_console(kit: AdminKit) -> int:
    """Run the console until it is left, and return its exit code.

    The kit's own fl_admin.sh does the same with whatever `python3` comes first; this uses the NVFlare that
    the kit is made for. Reading from a pipe it takes the user's name as its first line, as NVFlare's does.

    Raises:
        Failed: no server answers, or the certificate is not valid.
    """
    kit.check()
    (kit.folder / TRANSFER_FOLDER).mkdir(exist_ok=True)
    console = (sys.executable, "-m", "nvflare.fuel.hci.tools.admin")
    command = [*console, "-m", str(kit.folder), "-s", "fed_admin.json"]
    return subprocess.run(command, check=False).returncode
