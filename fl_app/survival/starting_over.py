"""Find the workflows of an exported job that cannot resume: they start over if a process is killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
_RELAY = f"{_NVFLARE}.cyclic_ctl.CyclicController"
"""The only workflow that is saved when it persists its model."""
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
FLOWER = "fl_app.flower."
_END = (FLOWER, "nvflare.app_common.ccwf.")
"""Workflows, by module, whose run ends if a job process of the server or of a site is killed."""
STATELESS = (
    "nvflare.app_common.aggregators.weighted_aggregation_helper.WeightedAggregationHelper",
    "nvflare.app_common.aggregators.intime_accumulate_model_aggregator.InTimeAccumulateWeightedAggregator",
    "nvflare.app_common.aggregators.accumulate_model_aggregator.AccumulateWeightedAggregator",
    "nvflare.app_common.shareablegenerators.full_model_shareable_generator.FullModelShareableGenerator",
    "nvflare.app_opt.pt.fedopt.PTFedOptModelShareableGenerator",
)
"""Aggregators and shareable generators without state between rounds, or with an adapter, by class."""
PARTS = ("aggregator", "shareable_generator")
"""Parts of a workflow that may have state: its attributes, or their ids followed by `_id`."""
_KIT = "fl_app.jobs."
_PROTOCOL = "Resumable"


def ends_with_a_process(path: str) -> bool:
    """Return whether the run of a workflow ends if a job process of the server or of a site is killed.

    Args:
        path: class of the workflow with its module.
    """
    return path.startswith(_END)


def classes_without_checkpoint(job: Path) -> list[str]:
    """Return the classes that cannot resume, with their modules, in order and each once.

    A class that the job brings resumes if it implements `Resumable`: its module names the protocol.

    Args:
        job: job folder of NVFlare, with the apps.
    """
    found = []
    for file in sorted(job.glob("*/config/config_fed_server.json")):
        config = json.loads(file.read_text(encoding="utf-8"))
        components = {one.get("id"): one for one in config.get("components", ())}
        for workflow in config.get("workflows", ()):
            args = workflow.get("args") or {}
            ids = [args.get(f"{part}_id", args.get(part)) for part in PARTS]
            parts = [one if isinstance(one, dict) else components.get(one) for one in ids if one]
            paths = [_path(one) for one in (workflow, *parts) if one]
            if paths[0] == _RELAY and args.get("persist_every_n_rounds") == 0:
                found.append(paths[0])
            found += [path for path in paths if not _resumes(path, file.parents[1] / "custom")]
    return list(dict.fromkeys(found))


def _path(entry: dict[str, Any]) -> str:
    return str(entry.get("path", entry.get("class_path", "")))


def _resumes(path: str, custom: Path) -> bool:
    if path in RESUMABLE + STATELESS or path.startswith((_KIT, *_WITHOUT_ROUNDS)):
        return True
    module = custom.joinpath(*path.split(".")[:-1]).with_suffix(".py")
    try:
        return _PROTOCOL in module.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
