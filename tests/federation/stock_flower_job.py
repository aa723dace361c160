"""A job with NVFlare's own Flower integration and an app whose ClientApp raises.

It is the job of NVFlare's FlowerRecipe without MetricRelay, which would listen on the port of the parent.
"""

from pathlib import Path

from nvflare.app_opt.flower.controller import FlowerController
from nvflare.app_opt.flower.executor import FlowerExecutor
from nvflare.job_config.api import FedJob

from fl_app.guard.component import JobGuard

APP = Path(__file__).with_name("raising_flower_app")
ROUNDS = 2
_TIMEOUT = 60
"""Timeout in seconds."""


def export(into: Path, name: str = "stock-flower", guarded: bool = False) -> Path:
    """Write the job's folder; this needs no Flower."""
    job = FedJob(name=name, min_clients=2)
    job.to_server(
        FlowerController(
            superlink_ready_timeout=_TIMEOUT,
            configure_task_timeout=_TIMEOUT,
            start_task_timeout=_TIMEOUT,
            max_client_op_interval=10.0 * _TIMEOUT,
            run_config={"rounds": ROUNDS},
        )
    )
    job.to_server(str(APP))
    job.to_clients(FlowerExecutor(per_msg_timeout=_TIMEOUT, tx_timeout=10.0 * _TIMEOUT))
    job.to_clients(str(APP))
    if not guarded:
        job.to_server(JobGuard(enabled=False), id="own_guard")
        job.to_clients(JobGuard(enabled=False), id="own_guard")
    job.export_job(str(into))
    return into / name
