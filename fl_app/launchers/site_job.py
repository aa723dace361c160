"""The door of a site's job process; see `fl_app.launchers.door`."""

from __future__ import annotations

import sys

from fl_app.launchers.door import run_job

if __name__ == "__main__":
    sys.exit(run_job("nvflare.private.fed.app.client.worker_process"))
