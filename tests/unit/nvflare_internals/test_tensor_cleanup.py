"""The clean-up of tensor downloads at the end of a job."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PROGRAM = textwrap.dedent("""
    import sys
    from nvflare.apis.fl_context import FLContext
    from nvflare.apis.impl.wf_comm_server import WFCommServer
    from fl_app.nvflare_internals.tensor_cleanup import skip_tensor_cleanup_without_torch

    skip_tensor_cleanup_without_torch()
    {before}
    server = WFCommServer.__new__(WFCommServer)
    server.log_warning = lambda fl_ctx, message: print("warning:", message)
    server._cleanup_inflight_tensor_downloads(FLContext())
    print("torch" in sys.modules, "nvflare.app_opt.pt.tensor_downloader" in sys.modules)
""")


@pytest.mark.parametrize(("before", "loaded"), [("", "False False"), ("import torch", "True True")])
def test_the_cleanup_runs_only_in_jobs_that_loaded_torch(before: str, loaded: str) -> None:
    program = PROGRAM.format(before=before)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()) == (0, [loaded]), done.stderr
