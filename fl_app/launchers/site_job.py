"""The program of a site's job process; see `fl_app.launchers.entry_point`."""

from __future__ import annotations

from fl_app.launchers.entry_point import exit_now, run_job
from fl_app.nvflare_internals.pauses import start_site_job_soon

if __name__ == "__main__":
    exit_now(run_job("client", start_site_job_soon))
