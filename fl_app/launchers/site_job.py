"""The program of a site's job process; see `fl_app.launchers.entry_point`."""

from __future__ import annotations

import sys

from fl_app.launchers.entry_point import run_job

if __name__ == "__main__":
    sys.exit(run_job("client"))
