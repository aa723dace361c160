"""The history of a job: its interventions, which any process records and the server's parent keeps."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ProcessType, SystemComponents
from nvflare.apis.fl_context import FLContext

from fl_app.nvflare_internals.parent_messages import Sender, receive_in_server_parent, send_to_server_parent
from fl_app.nvflare_internals.server_jobs import ServerJobs
from fl_app.survival.interventions import Intervention

TOPIC = "intervention"
_JOB = "job_id"
_SEND_SECONDS = 5.0
_RETRY_SECONDS = 5.0
_KEEP_TRYING_SECONDS = 600.0
"""Time for which a process tries to reach the server's parent, which may be starting again."""
_MAX_PENDING = 256

_log = logging.getLogger(__name__)

Listener = Callable[[str, Intervention], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Call `listener` with the id of the job for each intervention, in the server's parent."""
    _listeners.append(listener)


def record(engine: Any, job_id: str, intervention: Intervention) -> None:
    """Add an intervention to the history of a job; never raises and never waits for the network.

    In the server's parent it is stored in the job's meta at once. Any other process sends it there in the
    background, for up to _KEEP_TRYING_SECONDS.

    Args:
        engine: NVFlare's engine of this process.
        job_id: the job.
        intervention: what was done. A site can only report about itself.
    """
    try:
        with engine.new_context() as fl_ctx:
            process = fl_ctx.get_process_type()
        if process == ProcessType.SERVER_PARENT:
            _store(engine, job_id, intervention)
        else:
            _outbox.put(engine, {_JOB: job_id, **intervention.document()})
    except Exception:
        _log.exception("the history of job %s lacks: %s", job_id, intervention.line)


class ServerHistory:
    """Receive the interventions that job processes and sites record. Part of the server's parent.

    Events: SYSTEM_BOOTSTRAP registers the receiver.
    """

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            engine = fl_ctx.get_engine()
            receive_in_server_parent(engine, TOPIC, partial(receive, engine))


def receive(engine: Any, sender: Sender, document: Mapping[str, Any]) -> bool:
    """Store an intervention of another process if its sender may report it; return whether it is done with.

    The server's process of a job may report about its job, a site about itself in its own jobs. A report that
    is not allowed is dropped with a line in the log.
    """
    try:
        intervention, job_id = Intervention.of(document), str(document.get(_JOB))
    except ValueError as error:
        _log.warning("dropped a report of %s: %s", sender, error)
        return True
    allowed = sender.job == job_id if sender.job else sender.site in ServerJobs(engine).sites(job_id)
    if sender.site:
        intervention = intervention.at(sender.site)
    if allowed:
        _store(engine, job_id, intervention)
    else:
        _log.warning("dropped a report of %s: it is not part of job %.64s", sender, job_id)
    return True


def _store(engine: Any, job_id: str, intervention: Intervention) -> None:
    _log.warning("job %s: %s", job_id, intervention.line)
    manager = engine.get_component(SystemComponents.JOB_MANAGER)
    with engine.new_context() as fl_ctx:
        manager.add_to_history(job_id, intervention, fl_ctx)
    for listener in list(_listeners):
        with _logged(listener):
            listener(job_id, intervention)


@contextlib.contextmanager
def _logged(listener: Listener) -> Any:
    try:
        yield
    except Exception:
        _log.exception("%s failed", listener)


class _Outbox:
    """Interventions that were not sent yet, and the thread that sends them in order."""

    def __init__(self) -> None:
        self._pending: queue.Queue[tuple[float, Any, Mapping[str, Any]]] = queue.Queue(_MAX_PENDING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, engine: Any, document: Mapping[str, Any]) -> None:
        self._pending.put_nowait((time.monotonic() + _KEEP_TRYING_SECONDS, engine, document))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="survival-history", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            deadline, engine, document = self._pending.get()
            while not _sent(engine, document) and time.monotonic() < deadline:
                time.sleep(_RETRY_SECONDS)


def _sent(engine: Any, document: Mapping[str, Any]) -> bool:
    try:
        return send_to_server_parent(engine, TOPIC, document, _SEND_SECONDS)
    except Exception as error:  # the cell is not connected
        _log.debug("the server's parent does not answer: %s", error)
        return False


_outbox = _Outbox()
