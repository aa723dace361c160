"""The program of the server's job process; see `fl_app.launchers.entry_point`."""

from __future__ import annotations

import sys

from fl_app.launchers.entry_point import run_job
from fl_app.nvflare_internals.early_results import refuse_undeliverable_results
from fl_app.nvflare_internals.tensor_cleanup import skip_tensor_cleanup_without_torch


def prepare() -> None:
    """Change what NVFlare cannot be configured to do."""
    skip_tensor_cleanup_without_torch()
    refuse_undeliverable_results()


if __name__ == "__main__":
    sys.exit(run_job("server", prepare))
