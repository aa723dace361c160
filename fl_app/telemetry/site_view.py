"""A site's parent, as its telemetry shows it: ready while the server accepts its heartbeats."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import RunProcessKey
from nvflare.apis.job_launcher_spec import JobReturnCode
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.message import Message
from nvflare.private.defs import CellChannel, CellChannelTopic
from nvflare.private.fed.client.client_executor import _ABORT_REQUESTED_KEY
from nvflare.private.fed.client.fed_client import FederatedClient
from prometheus_client.core import Metric

from fl_app.telemetry.metrics import Identity, counter_of, gauge_of

FRESH_SECONDS = 35.0
"""A contact is fresh for three heartbeats of ten seconds, and some."""
SILENCE_HINT = "; it is down, not reached, or another process uses this kit"
"""Of two processes with one kit, each may take the answers meant for the other."""
SILENT_SECONDS = 120.0
"""A heartbeat is tried every 10 s, one that hangs gives up after 30: by now nobody tries any more."""
REFUSED_SECONDS = 120.0
"""NVFlare keeps its token: who was refused for this long is refused until it starts, and registers, anew."""


class SiteView:
    """Follows a site's heartbeats by the server's answers: NVFlare's own events fire for refused ones too.

    Args:
        identity: the site.
        client: NVFlare's client of this parent, whose cell exists.
        engine: NVFlare's engine of this parent.
    """

    def __init__(self, identity: Identity, client: FederatedClient, engine: Any) -> None:
        self._identity = identity
        self._client = client
        self._engine = engine
        self._last_contact = 0.0
        self._last_attempt = 0.0
        self._refusal = ""
        self._refused_since: float | None = None
        self._refusals = 0
        self._processes: dict[str, dict[str, Any]] = {}
        client.cell.core_cell.add_incoming_reply_filter(
            channel=CellChannel.SERVER_MAIN, topic=CellChannelTopic.HEART_BEAT, cb=self._hear_answer
        )

    def notice(self, event: str) -> None:
        """Take note of an event of NVFlare's."""
        if event == EventType.AFTER_CLIENT_REGISTER and self._client.token:
            self._last_contact = time.time()
        elif event == EventType.BEFORE_CLIENT_HEARTBEAT:
            self._last_attempt = time.time()
        elif event == EventType.AFTER_JOB_LAUNCH:
            # NVFlare forgets its record of a job before it says that the job has ended.
            self._processes.update(self._engine.client_executor.run_processes)

    def _hear_answer(self, answer: Message) -> None:
        if answer.get_header(MessageHeaderKey.RETURN_CODE) == ReturnCode.OK:
            self._last_contact = time.time()
            self._refused_since = None
            return
        self._refusals += 1
        self._refusal = str(
            answer.get_header(MessageHeaderKey.ERROR) or answer.get_header(MessageHeaderKey.RETURN_CODE)
        )
        if self._refused_since is None:
            self._refused_since = time.time()

    @property
    def registered(self) -> bool:
        """Whether the server has given this site a token, and has not refused it since."""
        return bool(self._client.token) and self._refused_since is None

    def not_ready(self) -> str | None:
        """Not registered, refused, or not heard of for too long."""
        if not self._client.token:
            return "it is not registered with the server yet"
        if self._refused_since is not None:
            return f"the server refuses it: {self._refusal}{self._hint()}"
        silence = time.time() - self._last_contact
        if silence > FRESH_SECONDS:
            return f"the server has not answered for {silence:.0f} s{SILENCE_HINT}"
        return None

    def _hint(self) -> str:
        return "; another process uses this kit" if "already registered" in self._refusal else ""

    def unhealthy(self) -> str | None:
        """Heartbeats have stopped, or the server refuses them for good: it must register anew."""
        now = time.time()
        if self._last_attempt and now - self._last_attempt > SILENT_SECONDS:
            return f"no heartbeat has been tried for {now - self._last_attempt:.0f} s"
        if self._refused_since is not None and now - self._refused_since > REFUSED_SECONDS:
            return f"the server has refused it for {now - self._refused_since:.0f} s: {self._refusal}"
        return None

    def running(self) -> Collection[str]:
        """The ids of the jobs whose process or pod runs."""
        return tuple(self._engine.get_all_job_ids())

    def result(self, job_id: str) -> str:
        """How this site's part of a job ended, by NVFlare's record of its process.

        One that is told to end ends well. One that died is told so afterwards, too, and that is no reason.
        """
        process = self._processes.pop(job_id, {})
        handle = process.get(RunProcessKey.JOB_HANDLE)
        if handle is None or handle.poll() != JobReturnCode.SUCCESS:
            return "failed"
        return "aborted" if process.get(_ABORT_REQUESTED_KEY) else "completed"

    def metrics(self) -> Iterable[Metric]:
        """Registration, last contact, refusals, and the jobs that run here."""
        own = self._identity.labels
        registered = gauge_of("registered")
        registered.add_metric(own, float(self.registered))
        yield registered
        contact = gauge_of("last_contact_timestamp_seconds")
        if self._last_contact:
            contact.add_metric(own, self._last_contact)
        yield contact
        refused = counter_of("heartbeats_refused_total")
        refused.add_metric(own, self._refusals)
        yield refused
        jobs = gauge_of("jobs")
        jobs.add_metric((*own, "RUNNING"), len(self._engine.get_all_job_ids()))
        yield jobs
