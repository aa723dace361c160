"""The door of the server's job process; see `fl_app.launchers.entry_point`."""

from __future__ import annotations

import sys

from fl_app.launchers.entry_point import run_job
from fl_app.launchers.late_torch import NoTorchAtTheEnd

if __name__ == "__main__":
    sys.meta_path.insert(0, NoTorchAtTheEnd())
    sys.exit(run_job("nvflare.private.fed.app.server.runner_process"))
