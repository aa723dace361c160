"""The model that a workflow stores: it exists, can be read, and is the one that the last round made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import ModelLearnable, ModelLearnableKey
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_common.np.constants import NPConstants
from nvflare.app_common.np.np_model_persistor import NPModelPersistor
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather

from fl_app.guard.arrays import count_not_finite, describe, equal
from fl_app.guard.finding import Finding


def find_missing_model(
    controller: Any, stored: bool, last: Mapping[str, Any] | None, fl_ctx: FLContext
) -> Finding | None:
    """Return a finding if a workflow that has ended left no usable model.

    Args:
        controller: NVFlare's controller of the workflow.
        stored: whether the workflow announced that it stored a model.
        last: parameters of the last global model that was stored; None if they are not known.
        fl_ctx: context of the server's job process.
    """
    persistor = getattr(controller, "persistor", None)
    if persistor is None and isinstance(controller, FedAvg):
        return _find_missing_file(controller)
    if persistor is None or not isinstance(controller, FedAvg | ScatterAndGather):
        return None
    key = type(persistor).__name__
    if not stored:
        return Finding(
            "no model was stored: the results of the job contain none",
            "Check stop_cond: FedAvg stores a model only in rounds in which its metric improves.",
            site="server",
            key=key,
            rule="not_persisted",
        )
    if last is None or not isinstance(persistor, ModelPersistor):
        return None
    what = _difference(persistor, last, fl_ctx)
    return (
        Finding(
            f"the stored model {what}",
            "Check the disk of the server and the persistor of the job.",
            site="server",
            key=key,
            rule="not_persisted",
        )
        if what
        else None
    )


def _find_missing_file(controller: FedAvg) -> Finding | None:
    """FedAvg without a persistor writes `save_filename` into the job's folder, or nothing."""
    if type(controller).save_model is not FedAvg.save_model:
        return None
    name = controller.save_filename
    if name and (Path(controller.get_run_dir()) / name).is_file():
        return None
    return Finding(
        "no model was stored: the results of the job contain none",
        "Give the recipe a persistor, or FedAvg a save_filename, and check stop_cond.",
        site="server",
        key=type(controller).__name__,
        rule="not_persisted",
    )


def _difference(persistor: ModelPersistor, last: Mapping[str, Any], fl_ctx: FLContext) -> str:
    """Return in which way no stored model is the last one; empty if one is, or if the persistor lists none.

    A persistor may store several models, such as the last and the best, and it may convert types.
    """
    if isinstance(persistor, NPModelPersistor):
        return _difference_of_array(persistor, last, fl_ctx)
    try:
        inventory = persistor.get_model_inventory(fl_ctx) or {}
    except NotImplementedError:  # the persistor stores one model and does not list it
        return ""
    found = ""
    for name in inventory:
        try:
            model = persistor.get_model(name, fl_ctx)
        except NotImplementedError:
            return ""
        except Exception as error:  # whatever a damaged file makes the persistor raise
            found = f"{name} cannot be read: {type(error).__name__}: {error}"
            continue
        found = _difference_of_models(model, last)
        if not found:
            return ""
        found = f"{name} {found}"
    return found


def _difference_of_models(model: Any, last: Mapping[str, Any]) -> str:
    if not isinstance(model, ModelLearnable):
        return "cannot be read"
    stored = model.get(ModelLearnableKey.WEIGHTS) or {}
    before, after = describe(last), describe(stored)
    if before and not before.keys() & after.keys():
        return "has none of the parameters of the last one"  # it may exclude some
    for name, value in stored.items():
        if name not in last:
            continue
        shapes = before[name].shape, after[name].shape
        if None not in shapes and shapes[0] != shapes[1]:
            return f"has another shape of {name}: {shapes[1]} instead of {shapes[0]}"
        if count_not_finite(value, last[name]):
            return f"has NaN or infinite numbers in {name}"
        if before[name].kind and _are_comparable(last[name], value) and not equal(last[name], value):
            return f"is not the last one: {name} differs"
    return ""


def _are_comparable(one: Any, other: Any) -> bool:
    """Return whether two parameters have the same type of numbers."""
    return type(one) is type(other) and getattr(one, "dtype", None) == getattr(other, "dtype", None)


def _difference_of_array(persistor: NPModelPersistor, last: Mapping[str, Any], fl_ctx: FLContext) -> str:
    """Read the one file of NVFlare's persistor for NumPy, which cannot list what it stored."""
    results = fl_ctx.get_engine().get_workspace().get_result_root(fl_ctx.get_job_id())
    file = Path(results, persistor.model_dir, persistor.model_name)
    try:
        stored = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        return f"{file.name} cannot be read: {type(error).__name__}: {error}"
    learnable = ModelLearnable({ModelLearnableKey.WEIGHTS: {NPConstants.NUMPY_KEY: stored}})
    return _difference_of_models(learnable, {NPConstants.NUMPY_KEY: last[NPConstants.NUMPY_KEY]})
