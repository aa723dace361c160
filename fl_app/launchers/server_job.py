"""The program of the server's job process; see `fl_app.launchers.entry_point`."""

from __future__ import annotations

import sys
from typing import Any

from fl_app.guard.finding import Finding, fail
from fl_app.launchers.entry_point import run_job
from fl_app.nvflare_internals.early_results import MAX_REFUSALS, refuse_undeliverable_results
from fl_app.nvflare_internals.model_download import ModelTooLargeError
from fl_app.nvflare_internals.tensor_cleanup import skip_tensor_cleanup_without_torch


def prepare() -> None:
    """Change what NVFlare cannot be configured to do."""
    skip_tensor_cleanup_without_torch()
    refuse_undeliverable_results(end_job)


def end_job(engine: Any, site: str, error: RuntimeError) -> None:
    """End the job of a site whose results never arrive; without this, it would send them for ever."""
    from nvflare.apis.fl_component import FLComponent

    if isinstance(error, ModelTooLargeError):
        what = f"its result cannot be received: {error}"
        remedy = "Raise the memory limit of the server's jobs"
    else:
        what = f"its result was cut off {MAX_REFUSALS} times in a row: {error}"
        remedy = (
            "Check the network between the site and the server: proxies and firewalls may close connections"
        )
    with engine.new_context() as fl_ctx:
        fail(FLComponent(), fl_ctx, Finding(what, f"{remedy}.", site=site))


if __name__ == "__main__":
    sys.exit(run_job("server", prepare))
