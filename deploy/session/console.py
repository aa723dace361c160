"""NVFlare's own admin console, on an administrator's kit: for a person, or for commands from a pipe."""

from __future__ import annotations

import subprocess
import sys

from deploy.session.kit import AdminKit


def run_console(kit: AdminKit) -> int:
    """Run the console until it is left, and return its exit code.

    The kit's own fl_admin.sh does the same with whatever `python3` comes first; this uses the NVFlare of the kit. Reading
    from a pipe it takes the user's name as its first line, as NVFlare's does.

    Raises:
        Failed: no server answers, or the certificate is not valid.
    """
    kit.check()
    with kit.borrowed() as folder:
        command = [
            *(sys.executable, "-m", "nvflare.fuel.hci.tools.admin"),
            *("-m", str(folder), "-s", "fed_admin.json"),
        ]
        return subprocess.run(command, cwd=folder, check=False).returncode
