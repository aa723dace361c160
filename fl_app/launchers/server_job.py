"""The program of the server's job process; see `fl_app.launchers.entry_point`."""

from __future__ import annotations

import sys

from fl_app.launchers.entry_point import run_job
from fl_app.nvflare_internals.tensor_cleanup import skip_tensor_cleanup_without_torch

if __name__ == "__main__":
    sys.exit(run_job("server", skip_tensor_cleanup_without_torch))
