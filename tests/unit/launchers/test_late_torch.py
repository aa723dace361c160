"""Torch at the end of a job that did without it."""

from __future__ import annotations

import subprocess
import sys
import textwrap

PROGRAM = textwrap.dedent("""
    import sys
    from nvflare.apis.fl_context import FLContext
    from nvflare.apis.impl.wf_comm_server import WFCommServer
    from fl_app.launchers.late_torch import NoTorchAtTheEnd

    sys.meta_path.insert(0, NoTorchAtTheEnd())
    {before}
    server = WFCommServer.__new__(WFCommServer)
    server.log_warning = lambda fl_ctx, message: print("warning:", message)
    server._cleanup_inflight_tensor_downloads(FLContext())
    {after}
    print("torch" in sys.modules, "nvflare.app_opt.pt.tensor_downloader" in sys.modules)
""")


def run(before: str = "", after: str = "") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before, after=after)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_nvflares_clean_up_does_not_load_torch_for_a_job_without_it() -> None:
    assert run() == ["False False"]


def test_a_job_with_torch_is_cleaned_up_as_ever() -> None:
    assert run(before="import torch") == ["True True"]


def test_whoever_else_asks_for_nvflares_torch_gets_it_also_afterwards() -> None:
    assert run(after="import nvflare.app_opt.pt.tensor_downloader") == ["True True"]
