"""The program of a site's job process; see `fl_app.launchers.entry_point`."""

from __future__ import annotations

from fl_app.launchers.entry_point import exit_now, run_job
from fl_app.nvflare_internals.pauses import start_site_job_soon
from fl_app.nvflare_internals.trainer_silence import ignore_stops
from fl_app.survival.limits import survival_enabled


def prepare() -> None:
    """Change what NVFlare cannot be configured to do."""
    start_site_job_soon()
    if survival_enabled():
        ignore_stops()


if __name__ == "__main__":
    exit_now(run_job("client", prepare))
