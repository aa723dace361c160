"""The state of an optimizer and its scheduler, of PyTorch, and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fl_app.survival.resumable import State, is_plain, merge, split, unmerge

_WEIGHTS, _OPTIMIZER = "model", "optimizer"


def optimization(owner: Any, model: Any) -> State:
    """Return the states of a PyTorch model, of `owner.optimizer`, and of `owner.lr_scheduler`."""
    optimizer = owner.optimizer.state_dict()
    arrays: dict[str, Any] = {}
    plain: dict[str, dict[str, Any]] = {}
    for index, values in optimizer["state"].items():
        state = split({name: one for name, one in values.items() if one is not None}, "the optimizer's")
        arrays |= {f"{index}/{name}": one for name, one in state.arrays.items()}
        plain[str(index)] = dict(state.document["values"])
    scheduler = owner.lr_scheduler.state_dict() if owner.lr_scheduler is not None else {}
    document = {
        "state": plain,
        "groups": [plain_of(group) for group in optimizer["param_groups"]],
        "scheduler": plain_of(scheduler),
    }
    return merge({_WEIGHTS: State(dict(model.state_dict())), _OPTIMIZER: State(arrays, document)})


def restore_optimization(owner: Any, model: Any, state: State) -> None:
    """Restore a model, its optimizer and scheduler from a state that `optimization` made."""
    states = unmerge(state)
    optimizer = states[_OPTIMIZER]
    model.load_state_dict(dict(states[_WEIGHTS].arrays))
    values: dict[int, dict[str, Any]] = {
        int(index): dict(one) for index, one in optimizer.document["state"].items()
    }
    for key, array in optimizer.arrays.items():
        index, _, name = key.partition("/")
        values[int(index)][name] = array
    current = owner.optimizer.state_dict()["param_groups"]
    saved = optimizer.document["groups"]
    groups = [{**group, **known} for group, known in zip(current, saved, strict=True)]
    owner.optimizer.load_state_dict({"state": values, "param_groups": groups})
    if owner.lr_scheduler is not None:
        owner.lr_scheduler.load_state_dict(dict(optimizer.document["scheduler"]))


def plain_of(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are plain JSON."""
    return {name: value for name, value in meta.items() if is_plain(value)}


def number_of(value: Any) -> Any:
    """Return a metric as a number of Python's; NVFlare may keep NumPy's."""
    return value.item() if hasattr(value, "item") else value
