"""NVFlare's own bridge to Flower with an app whose ClientApp raises: as its FlowerRecipe makes it, but for
the MetricRelay, which needs a port that the job of a kit does not have."""

from pathlib import Path

from nvflare.app_opt.flower.controller import FlowerController
from nvflare.app_opt.flower.executor import FlowerExecutor
from nvflare.job_config.api import FedJob

from fl_app.guard.component import JobGuard

APP = Path(__file__).with_name("raising_flower_app")
ROUNDS = 2
_WITHIN = 60
"""Seconds, on a busy machine."""


def export(into: Path, name: str = "stock-flower", guarded: bool = False) -> Path:
    """The job's folder. It needs no Flower where it is put together."""
    job = FedJob(name=name, min_clients=2)
    job.to_server(
        FlowerController(
            superlink_ready_timeout=_WITHIN,
            configure_task_timeout=_WITHIN,
            start_task_timeout=_WITHIN,
            max_client_op_interval=10.0 * _WITHIN,
            run_config={"rounds": ROUNDS},
        )
    )
    job.to_server(str(APP))
    job.to_clients(FlowerExecutor(per_msg_timeout=_WITHIN, tx_timeout=10.0 * _WITHIN))
    job.to_clients(str(APP))
    if not guarded:
        job.to_server(JobGuard(enabled=False), id="own_guard")
        job.to_clients(JobGuard(enabled=False), id="own_guard")
    job.export_job(str(into))
    return into / name
