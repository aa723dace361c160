"""Find the workflows of an exported job that cannot resume: they start over if the server's process dies."""

from __future__ import annotations

import json
from pathlib import Path

_NVFLARE = "nvflare.app_common.workflows"
RESUMABLE = (
    f"{_NVFLARE}.fedavg.FedAvg",
    "nvflare.app_opt.pt.fedavg.PTFedAvg",
    "nvflare.app_opt.pt.fedopt_ctl.FedOpt",
    f"{_NVFLARE}.lr.fedavg.FedAvgLR",
    f"{_NVFLARE}.scaffold.Scaffold",
    f"{_NVFLARE}.cyclic.Cyclic",
    f"{_NVFLARE}.cyclic_ctl.CyclicController",
    f"{_NVFLARE}.scatter_and_gather.ScatterAndGather",
)
"""NVFlare's workflows that resume after their last round, by class."""
_WITHOUT_ROUNDS = (
    f"{_NVFLARE}.cross_site_eval.",
    f"{_NVFLARE}.cross_site_model_eval.",
    f"{_NVFLARE}.global_model_eval.",
    f"{_NVFLARE}.initialize_global_weights.",
    f"{_NVFLARE}.statistics_controller.",
    f"{_NVFLARE}.hierarchical_statistics_controller.",
    f"{_NVFLARE}.cmd_task_controller.",
    "nvflare.app_opt.pt.recipes.fedeval.",
)
"""Workflows, by module, that lose no training if they start over."""
_KIT = "fl_app.jobs."
_PROTOCOL = "Resumable"


def workflows_that_start_over(job: Path) -> list[str]:
    """Return the names of the classes that would start over from round 1, in order and each once.

    A class that the job brings resumes if it implements `Resumable`: its module names the protocol.

    Args:
        job: job folder of NVFlare, with the apps.
    """
    found = []
    for file in sorted(job.glob("*/config/config_fed_server.json")):
        config = json.loads(file.read_text(encoding="utf-8"))
        paths = [str(one.get("path", one.get("class_path", ""))) for one in config.get("workflows", ())]
        found += [path for path in paths if not _resumes(path, file.parents[1] / "custom")]
    return [path.rpartition(".")[2] for path in dict.fromkeys(found)]


def _resumes(path: str, custom: Path) -> bool:
    if path in RESUMABLE or path.startswith((_KIT, *_WITHOUT_ROUNDS)):
        return True
    module = custom.joinpath(*path.split(".")[:-1]).with_suffix(".py")
    try:
        return _PROTOCOL in module.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
