"""State of a site's parent: it is ready if the server accepts its heartbeats."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable

from nvflare.apis.event_type import EventType
from prometheus_client.core import Metric

from fl_app.nvflare_internals.parents import SiteParent, is_duplicate_site
from fl_app.survival.limits import LATE_SECONDS
from fl_app.telemetry.metrics import ParentIdentity, View, family_of

NO_ANSWER_HINT = "; it is down, unreachable, or another process uses this kit"
"""If two processes use one kit, each may receive the other's replies."""
STALLED_SECONDS = 120.0
"""Time without an attempted heartbeat until a site is stalled. NVFlare tries every 10 s, for up to 30 s."""
REFUSED_SECONDS = 120.0
"""Time of refused heartbeats until a site must restart: NVFlare keeps its token, and only a new registration
helps."""


class SiteView(View):
    """Follow the server's replies to heartbeats: NVFlare's own events also fire for refused ones."""

    def __init__(self, identity: ParentIdentity, site: SiteParent) -> None:
        self._identity = identity
        self._site = site
        self._last_contact = 0.0
        self._last_attempt = 0.0
        self._refusal = ""
        self._refused_since: float | None = None
        self._refusals = 0
        site.follow_heartbeats(self._heartbeat_accepted, self._heartbeat_refused)

    def notice(self, event: str) -> None:
        """Handle an event of NVFlare."""
        if event == EventType.AFTER_CLIENT_REGISTER and self._site.has_token():
            self._last_contact = time.time()
        elif event == EventType.BEFORE_CLIENT_HEARTBEAT:
            self._last_attempt = time.time()
        elif event == EventType.AFTER_JOB_LAUNCH:
            self._site.remember_job_processes()

    def _heartbeat_accepted(self) -> None:
        self._last_contact = time.time()
        self._refused_since = None

    def _heartbeat_refused(self, reason: str) -> None:
        self._refusals += 1
        self._refusal = reason
        if self._refused_since is None:
            self._refused_since = time.time()

    def not_ready(self) -> str | None:
        """Return why the site is not ready; None if it is."""
        if not self._site.has_token():
            return "not registered with the server yet"
        if self._refused_since is not None:
            hint = "; another process uses this kit" if is_duplicate_site(self._refusal) else ""
            return f"the server refuses this site: {self._refusal}{hint}"
        age = time.time() - self._last_contact
        if age > LATE_SECONDS:
            return f"the server has not answered for {age:.0f} s{NO_ANSWER_HINT}"
        return None

    def unhealthy(self) -> str | None:
        """Return why the site must be restarted: stalled heartbeats, or a lasting refusal."""
        now = time.time()
        if self._last_attempt and now - self._last_attempt > STALLED_SECONDS:
            return f"no heartbeat was attempted for {now - self._last_attempt:.0f} s"
        if self._refused_since is not None and now - self._refused_since > REFUSED_SECONDS:
            return f"the server has refused this site for {now - self._refused_since:.0f} s: {self._refusal}"
        return None

    def running(self) -> Collection[str]:
        """Return the ids of the jobs whose process or pod is running."""
        return self._site.running_jobs()

    def result(self, job_id: str) -> str:
        """Return how this site's part of a job ended: completed, failed or aborted."""
        return self._site.job_result(job_id)

    def metrics(self) -> Iterable[Metric]:
        """Return registration, last contact, refused heartbeats, and the number of running jobs."""
        labels, last_contact = self._identity.labels, self._last_contact
        yield family_of("registered", {labels: self.not_ready() is None})
        yield family_of("last_contact_timestamp_seconds", {labels: last_contact} if last_contact else {})
        yield family_of("heartbeats_refused_total", {labels: self._refusals})
        yield family_of("jobs", {(*labels, "RUNNING"): len(self.running())})
