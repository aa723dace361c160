"""The clean-up of tensor downloads at the end of a job."""

from __future__ import annotations

import sys
from typing import Any

USES = {
    "nvflare.apis.impl.wf_comm_server:WFCommServer._cleanup_inflight_tensor_downloads": (
        "skip the clean-up, and the import of torch, in jobs that did not load torch"
    ),
}


def skip_tensor_cleanup_without_torch() -> None:
    """Keep NVFlare's server from importing torch at the end of a job that never loaded it.

    The clean-up of unfinished tensor downloads imports torch, which takes one to two seconds, although a job
    without torch has no tensors. NVFlare builds WFCommServer itself, so a subclass cannot replace the method.
    """
    from nvflare.apis.impl.wf_comm_server import WFCommServer

    clean_up = WFCommServer._cleanup_inflight_tensor_downloads

    def clean_up_if_torch_is_loaded(self: Any, fl_ctx: Any) -> None:
        if "torch" in sys.modules:
            clean_up(self, fl_ctx)

    WFCommServer._cleanup_inflight_tensor_downloads = clean_up_if_torch_is_loaded
