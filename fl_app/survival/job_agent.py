"""The server's process of a job: it saves a checkpoint in each round, and goes on from the last one.

A round begins when the first site gets its task: what the server sends then is its state after the round
before. The state of round 1 is saved, too: a job that starts again has the same first model.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

from fl_app.exchange.results_on_disk import ResultsOnDisk
from fl_app.guard import report
from fl_app.nvflare_internals import workflow_state
from fl_app.nvflare_internals.guard import asked_sites, job_components
from fl_app.nvflare_internals.summation import sum_in_order_of_sites
from fl_app.survival.checkpoints import Checkpoint, CheckpointStore, folder_of
from fl_app.survival.components import RandomNumbers, resumable_components, sum_metrics_exactly
from fl_app.survival.earlier_results import remove_results
from fl_app.survival.history import record
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.no_restart import find_restarted_server
from fl_app.survival.resumable import Resumable, State, UnsupportedStateError
from fl_app.survival.start_over import start_over
from fl_app.survival.workflows import Workflow, saved_model, workflow_of
from fl_app.survival.writer import CheckpointWriter
from fl_app.telemetry.push import job_pusher

_JOB, _MODEL, _OWN, _COMPONENT = "job", "workflow", "controller", "component:"
"""Parts of a checkpoint: position in the job, workflow, the controller's own state, components by id."""

_NOTHING_DONE = {"workflow": 0, "rounds_done": 0}
"""Position in the job before its first round has ended."""

_FLUSH_SECONDS = 5.0
"""Maximum time for which a checkpoint waits until logged values are pushed; usually milliseconds."""

_log = logging.getLogger(__name__)


class JobAgent:
    """Save and restore the state of one job on the server.

    Events: START_RUN reads the last checkpoint; START_WORKFLOW or INITIAL_MODEL_LOADED restores the workflow,
    and TRAINING_STARTED or BEFORE_TASK_DATA_FILTER the components, which have started by then;
    BEFORE_TRAIN_TASK (AFTER_LEARNABLE_PERSIST of a relay) saves one; BEFORE_AGGREGATION and
    BEFORE_LEARNABLE_PERSIST wait until it is written, because the model changes then; END_RUN ends.

    Args:
        panic: ends the job with a reason.
    """

    def __init__(self, panic: Callable[[str, FLContext], None]) -> None:
        self._panic = panic
        self._lock = threading.Lock()
        self._writer: CheckpointWriter | None = None
        self._saved: Checkpoint | None = None
        """The checkpoint that the workflow has yet to be restored from."""
        self._components_of: Checkpoint | None = None
        """The checkpoint that the components have yet to be restored from."""
        self._resumed: Checkpoint | None = None
        """The checkpoint that the starting workflow has been restored from."""
        self._is_restoring = False
        self._is_second = False
        self._runner: Any = None
        self._workflow: Workflow | None = None
        self._index = -1
        """Position of the workflow among those of the job."""
        self._round: int | None = None
        """The last round that was saved, from 0."""
        self._random = RandomNumbers()
        self._handlers: Mapping[str, Callable[[FLContext], None]] = {
            EventType.START_RUN: self._start,
            EventType.START_WORKFLOW: self._start_workflow,
            AppEventType.INITIAL_MODEL_LOADED: self._model_loaded,
            AppEventType.TRAINING_STARTED: self._start_training,
            AppEventType.ROUND_STARTED: self._random.remember,
            EventType.BEFORE_TASK_DATA_FILTER: self._restore_components,
            AppEventType.BEFORE_TRAIN_TASK: self._send_task,
            AppEventType.AFTER_LEARNABLE_PERSIST: self._persisted,
            AppEventType.BEFORE_AGGREGATION: self._wait,
            AppEventType.BEFORE_LEARNABLE_PERSIST: self._wait,
            EventType.END_RUN: self._wait,
        }

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if handler := self._handlers.get(event_type):
            try:
                handler(fl_ctx)
            except Exception as error:
                if self._is_restoring:  # a job that goes on with a part of its state would be wrong
                    self._panic(f"the checkpoint of the job cannot be restored: {error}", fl_ctx)
                raise

    def _start(self, fl_ctx: FLContext) -> None:
        self._engine, self._job_id = fl_ctx.get_engine(), fl_ctx.get_job_id()
        workspace = self._engine.get_workspace()
        run_folder = Path(workspace.get_run_dir(self._job_id))
        _order_sites(self._engine, run_folder)
        store = CheckpointStore(folder_of(Path(workspace.get_root_dir()), self._job_id))
        self._is_second = store.begin()
        signal = fl_ctx.get_prop(ReservedKey.RUN_ABORT_SIGNAL)
        self._writer = CheckpointWriter(
            store,
            run_folder,
            _flush_metrics,
            lambda why: self._record(Kind.WAITING, f"the next round waits for disk space: {why}"),
            lambda: signal is not None and bool(signal.triggered),
        )
        self._runner = workflow_state.runner_of(self._engine)
        saved = store.latest()
        if self._is_second and (saved is None or saved.parts[_JOB].document == _NOTHING_DONE):
            parts = [*job_components(self._engine).values(), *workflow_state.controllers(self._runner)]
            remove_results(parts, run_folder, Path(workspace.get_app_dir(self._job_id)))
        if saved is not None:
            self._is_restoring = True
            self._writer.restore_files(saved)
            workflow_state.start_with_workflow(self._runner, saved.parts[_JOB].document["workflow"])
            if (model := saved_model(saved.parts[_MODEL])) is not None:  # of a workflow that is skipped
                fl_ctx.set_prop(AppConstants.GLOBAL_MODEL, model, private=True, sticky=True)
            self._saved = self._components_of = saved
            self._is_restoring = False

    def _start_workflow(self, fl_ctx: FLContext) -> None:
        """Restore what is restored before a workflow runs. SCAFFOLD has loaded its model already."""
        self._find_workflow()
        if self._workflow is not None and self._workflow.restores_at_start:
            self._restore(fl_ctx)
        elif self._workflow is not None and self._resumed is not None:
            self._workflow.after_start(self._resumed.parts[_MODEL])
        self._resumed = None
        if self._workflow is None:
            self._start_without_checkpoint(fl_ctx)

    def _start_without_checkpoint(self, fl_ctx: FLContext) -> None:
        """End this run of a job whose sites do not start over. That of a Flower job has ended by then."""
        signal = fl_ctx.get_prop(ReservedKey.RUN_ABORT_SIGNAL)
        controller = workflow_state.workflow_at(self._runner, self._index)
        if signal is not None and signal.triggered:
            return
        if found := find_restarted_server(controller, fl_ctx):
            if not start_over(found, fl_ctx, self._panic):
                report(fl_ctx, found)
                self._panic(found.line, fl_ctx)
        elif self._is_second and self._index == 0:
            name = type(controller).__name__
            self._record(Kind.RESUMED, f"starts over from round 1: {name} cannot resume")

    def _model_loaded(self, fl_ctx: FLContext) -> None:
        self._find_workflow()
        if self._workflow is not None and not self._workflow.restores_at_start:
            self._resumed = self._saved
            self._restore(fl_ctx)

    def _find_workflow(self) -> None:
        """Find the workflow that starts, once."""
        index = workflow_state.workflow_index(self._runner)
        if index == self._index:
            return
        self._index, self._round, self._resumed = index, None, None
        self._components = job_components(self._engine)
        self._workflow = workflow_of(workflow_state.workflow_at(self._runner, index), self._components)

    def _restore(self, fl_ctx: FLContext) -> None:
        saved, self._saved = self._saved, None
        if saved is None or self._workflow is None:
            if self._is_second and self._index == 0:
                self._record(Kind.RESUMED, "starts over from round 1: there is no intact checkpoint")
            return
        parts, done = saved.parts, int(saved.parts[_JOB].document["rounds_done"])
        self._is_restoring = True
        if _OWN in parts:
            self._workflow.controller.resume(parts[_OWN])
        self._workflow.resume(parts[_MODEL], done, fl_ctx)
        self._is_restoring = False
        total = self._workflow.rounds
        after = f"resumed after round {done} of {total}" if done else f"starts again with round 1 of {total}"
        self._record(Kind.RESUMED, after)

    def _start_training(self, fl_ctx: FLContext) -> None:
        self._restore_components(fl_ctx)
        self._random.remember(fl_ctx)

    def _restore_components(self, fl_ctx: FLContext) -> None:
        saved, self._components_of = self._components_of, None
        if saved is None or self._workflow is None:
            return
        self._is_restoring = True
        for name, component in self._stateful_components().items():
            if name in saved.parts:
                component.resume(saved.parts[name])
        self._is_restoring = False

    def _stateful_components(self) -> dict[str, Resumable]:
        """Return what has a state besides the workflow, by the names of the parts of a checkpoint."""
        found = resumable_components(self._components)
        named = {f"{_COMPONENT}{name.replace('/', '_')}": component for name, component in found}
        return {"random": self._random, **named}

    def _send_task(self, fl_ctx: FLContext) -> None:
        task = fl_ctx.get_prop(AppConstants.TRAIN_SHAREABLE)
        if not isinstance(task, Shareable) or self._workflow is None:
            return
        number = task.get_header(AppConstants.CURRENT_ROUND)
        if self._workflow.saves_at == AppEventType.BEFORE_TRAIN_TASK and isinstance(number, int):
            with self._lock:  # several sites ask for their task at the same time
                self._save(number, task)

    def _persisted(self, fl_ctx: FLContext) -> None:
        self._random.remember(fl_ctx)
        number = fl_ctx.get_prop(AppConstants.CURRENT_ROUND)
        if self._workflow is not None and self._workflow.saves_at == AppEventType.AFTER_LEARNABLE_PERSIST:
            self._save(number + 1, None)

    def _save(self, rounds_done: int, task: Shareable | None) -> None:
        """Save the state after this number of rounds, once; the last round needs none, the job is over."""
        workflow, writer = self._workflow, self._writer
        assert workflow is not None and writer is not None
        if self._round == rounds_done or rounds_done >= workflow.rounds:
            return
        self._round, self._resumed = rounds_done, None
        sum_metrics_exactly(self._components)
        document = {"workflow": self._index, "rounds_done": rounds_done}
        try:
            parts = {_JOB: State(document=document), _MODEL: workflow.checkpoint(task)}
            parts |= {name: _state_of(one) for name, one in self._stateful_components().items()}
            if isinstance(workflow.controller, Resumable):
                parts[_OWN] = _state_of(workflow.controller)
        except UnsupportedStateError as error:
            writer.give_up(f"a checkpoint cannot hold {error}")
        else:
            writer.submit(parts)

    def _wait(self, fl_ctx: FLContext) -> None:
        if self._writer is not None:
            self._writer.wait()

    def _record(self, kind: Kind, text: str) -> None:
        _log.warning("job %s: %s", self._job_id, text)
        record(self._engine, self._job_id, Intervention(kind, text))


def _state_of(part: Resumable) -> State:
    """Return the state of a part, and a copy of that of a user's: it may change while it is written."""
    state = part.checkpoint()
    return state if type(part).__module__.startswith("fl_app.") else copy.deepcopy(state)


def _flush_metrics() -> None:
    if (pusher := job_pusher()) is not None:
        pusher.flush(_FLUSH_SECONDS)


def _order_sites(engine: Any, run_folder: Path) -> None:
    """Let workflows send, relay and add up in the order of the sites' names, not of their registration."""
    clients = engine.get_clients

    def in_order() -> list[Any]:
        return sorted(clients(), key=lambda client: str(client.name))

    def taking_part() -> Collection[str]:
        """Return the sites of the round: a result must not wait for sites that were not asked."""
        runner = workflow_state.runner_of(engine)
        controller = workflow_state.workflow_at(runner, workflow_state.workflow_index(runner))
        return asked_sites(controller) or [client.name for client in clients()]

    engine.get_clients = in_order
    sum_in_order_of_sites(taking_part, ResultsOnDisk(run_folder).keep)
