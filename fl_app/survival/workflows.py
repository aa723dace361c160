"""How NVFlare's workflows go on after a round: adapters, as they keep no state themselves.

Only classes whose state is known resume. A subclass that a user wrote may hold more state than its base: it
resumes if it is `Resumable` itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvflare.apis.dxo import from_shareable
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

from fl_app.nvflare_internals import workflow_state
from fl_app.survival.optimization import number_of, optimization, plain_of, restore_optimization
from fl_app.survival.resumable import Resumable, State, joined, merge, split, unmerge
from fl_app.survival.starting_over import PARTS, RESUMABLE, STATELESS

_NVFLARE = "nvflare.app_common.workflows"
_META, _LAST_SITE = "meta", "last_site"
_MODEL, _FURTHER = "model", "further"
"""Parts of the state of a workflow that has more than a model."""


class Workflow(ABC):
    """A workflow that can go on after a round.

    Args:
        controller: NVFlare's controller.
    """

    saves_at = AppEventType.BEFORE_TRAIN_TASK
    """Event of a round whose state is that of the beginning of the round, or AFTER_LEARNABLE_PERSIST."""

    def __init__(self, controller: Any) -> None:
        self.controller = controller

    @property
    @abstractmethod
    def rounds(self) -> int:
        """Number of the last round, from 1."""

    @property
    def restores_at_start(self) -> bool:
        """Whether the state is restored before the workflow starts, not when it has loaded its model."""
        return False

    @abstractmethod
    def checkpoint(self, task: Shareable | None) -> State:
        """Return the state at the beginning of a round, whose task for the sites is `task`."""

    @abstractmethod
    def resume(self, state: State, rounds_done: int, fl_ctx: FLContext) -> None:
        """Go on after this number of rounds."""

    def after_start(self, state: State) -> None:  # noqa: B027 - few need it
        """Restore what the workflow creates after it has loaded its model."""


class _FedAvg(Workflow):
    """FedAvg and all others that send an FLModel and have `start_round` and `num_rounds`."""

    _kept = ("best_target_metric_value", "num_fl_rounds_without_improvement")
    """Attributes of FedAvg that end the training early."""

    @property
    def rounds(self) -> int:
        return int(self.controller.start_round + self.controller.num_rounds)

    @property
    def restores_at_start(self) -> bool:
        return self._has_own_model

    @property
    def _has_own_model(self) -> bool:
        """Whether FedAvg starts with a model that it was given, or with a file: it announces neither."""
        given = getattr(self.controller, "model", None)
        return isinstance(given, FLModel | Mapping) or getattr(self.controller, "persistor", None) is None

    def checkpoint(self, task: Shareable | None) -> State:
        assert task is not None
        dxo = from_shareable(task)
        kept = {name: number_of(getattr(self.controller, name)) for name in self._kept_names()}
        state = _with(split(dxo.data, "the parameter"), kept | {_META: plain_of(dxo.meta)})
        return State(state.arrays, state.document, self._best_files())

    def resume(self, state: State, rounds_done: int, fl_ctx: FLContext) -> None:
        controller = self.controller
        for name in self._kept_names():
            setattr(controller, name, state.document[name])
        workflow_state.start_averaging_at(controller, rounds_done)
        if self._has_own_model:
            controller.model = FLModel(params=joined(state), meta=dict(state.document[_META]))
        else:
            _replace(fl_ctx.get_prop(AppConstants.GLOBAL_MODEL), state)

    def _best_files(self) -> tuple[str, ...]:
        """Return the file of the model if it is the best one; else the next round writes it again."""
        controller, persistor = self.controller, getattr(self.controller, "persistor", None)
        if not getattr(controller, "stop_condition", None):
            return ()
        if persistor is None:
            return (str(controller.save_filename),)
        if name := getattr(persistor, "global_model_file_name", ""):
            return (str(Path(persistor.log_dir, name)),)
        if name := getattr(persistor, "model_name", ""):
            return (str(Path(persistor.model_dir, name)),)
        return ()

    def _kept_names(self) -> list[str]:
        return [name for name in self._kept if hasattr(self.controller, name)]


class _FedOpt(_FedAvg):
    """NVFlare's FedOpt controller; its model and optimizer exist before the model is loaded."""

    def checkpoint(self, task: Shareable | None) -> State:
        further = optimization(self.controller, self.controller.torch_model)
        return merge({_MODEL: super().checkpoint(task), _FURTHER: further})

    def resume(self, state: State, rounds_done: int, fl_ctx: FLContext) -> None:
        states = unmerge(state)
        super().resume(states[_MODEL], rounds_done, fl_ctx)
        restore_optimization(self.controller, self.controller.torch_model, states[_FURTHER])


class _Scaffold(_FedAvg):
    """SCAFFOLD: the task carries the control variates in its metadata."""

    @property
    def restores_at_start(self) -> bool:
        return False

    @property
    def _has_own_model(self) -> bool:
        return False

    def checkpoint(self, task: Shareable | None) -> State:
        controls = State(workflow_state.control_variates(self.controller))
        return merge({_MODEL: super().checkpoint(task), _FURTHER: controls})

    def resume(self, state: State, rounds_done: int, fl_ctx: FLContext) -> None:
        super().resume(unmerge(state)[_MODEL], rounds_done, fl_ctx)

    def after_start(self, state: State) -> None:
        controls = workflow_state.control_variates(self.controller)
        controls.clear()
        controls.update(unmerge(state)[_FURTHER].arrays)


class _Gathering(Workflow):
    """ScatterAndGather."""

    @property
    def rounds(self) -> int:
        return workflow_state.rounds_of_gathering(self.controller)

    def checkpoint(self, task: Shareable | None) -> State:
        return _model_state(workflow_state.model_of_gathering(self.controller))

    def resume(self, state: State, rounds_done: int, fl_ctx: FLContext) -> None:
        workflow_state.start_gathering_at(self.controller, rounds_done)
        _replace(fl_ctx.get_prop(AppConstants.GLOBAL_MODEL), state)


class _Relay(Workflow):
    """CyclicController, which announces no tasks."""

    saves_at = AppEventType.AFTER_LEARNABLE_PERSIST

    @property
    def rounds(self) -> int:
        return workflow_state.rounds_of_relay(self.controller)

    def checkpoint(self, task: Shareable | None) -> State:
        model = _model_state(workflow_state.model_of_relay(self.controller))
        return _with(model, {_LAST_SITE: workflow_state.last_site_of_relay(self.controller)})

    def resume(self, state: State, rounds_done: int, fl_ctx: FLContext) -> None:
        workflow_state.start_relay_at(self.controller, rounds_done)
        _replace(fl_ctx.get_prop(AppConstants.GLOBAL_MODEL), state)

    def after_start(self, state: State) -> None:
        workflow_state.set_last_site_of_relay(self.controller, state.document.get(_LAST_SITE, ""))


class _Own(Workflow):
    """A controller without a model of NVFlare's: all its state is its own. It has an attribute `rounds`."""

    @property
    def rounds(self) -> int:
        return int(self.controller.rounds)

    @property
    def restores_at_start(self) -> bool:
        return True

    def checkpoint(self, task: Shareable | None) -> State:
        return State()

    def resume(self, state: State, rounds_done: int, fl_ctx: FLContext) -> None:
        """Do nothing: the controller's own state has the round."""


_WORKFLOWS: Mapping[str, type[Workflow]] = {
    **dict.fromkeys(RESUMABLE, _FedAvg),
    "nvflare.app_opt.pt.fedopt_ctl.FedOpt": _FedOpt,
    f"{_NVFLARE}.scaffold.Scaffold": _Scaffold,
    f"{_NVFLARE}.cyclic_ctl.CyclicController": _Relay,
    f"{_NVFLARE}.scatter_and_gather.ScatterAndGather": _Gathering,
}
"""NVFlare's workflows that resume, by class."""


def workflow_of(controller: Any, components: Mapping[str, Any]) -> Workflow | None:
    """Return the adapter of a controller; None if it cannot resume.

    Args:
        controller: NVFlare's or the job's own.
        components: components of the job on the server, by id.
    """
    for kind in type(controller).__mro__:
        path = f"{kind.__module__}.{kind.__qualname__}"
        if path in _WORKFLOWS and _is_known(type(controller), kind):
            parts = [_part(controller, name, components) for name in PARTS]
            is_known = all(part is None or _is_stateless(part) for part in parts)
            return _WORKFLOWS[path](controller) if is_known else None
    return _Own(controller) if isinstance(controller, Resumable) else None


def saved_model(state: State) -> Any:
    """Return the model in the state of a workflow that has nothing else; None for other workflows."""
    if _META not in state.document:
        return None
    return make_model_learnable(joined(state), dict(state.document[_META]))


def _part(controller: Any, name: str, components: Mapping[str, Any]) -> Any:
    """Return the aggregator or shareable generator of a controller; None if it has none."""
    named = components.get(getattr(controller, f"{name}_id", None) or "")
    return getattr(controller, name, None) or named


def _is_stateless(part: Any) -> bool:
    """Return whether a part of a workflow has no state between rounds, or an adapter, or says what it is."""
    path = f"{type(part).__module__}.{type(part).__qualname__}"
    return path in STATELESS or path.startswith("fl_app.") or isinstance(part, Resumable)


def _is_known(kind: type, base: type) -> bool:
    """Return whether the state of a class is that of its base, and what it says itself."""
    return kind is base or issubclass(kind, Resumable) or kind.__module__.startswith("fl_app.")


def _model_state(model: Mapping[str, Any]) -> State:
    state = split(model[ModelLearnableKey.WEIGHTS], "the parameter")
    return _with(state, {_META: plain_of(model.get(ModelLearnableKey.META) or {})})


def _replace(model: Any, state: State) -> None:
    """Replace a loaded model in place: the workflow already has it."""
    weights, meta = model[ModelLearnableKey.WEIGHTS], model[ModelLearnableKey.META]
    weights.clear()
    weights.update(joined(state))
    if meta is not None:
        meta.update(state.document[_META])


def _with(state: State, document: Mapping[str, Any]) -> State:
    return State(state.arrays, {**state.document, **document}, state.files)
