"""The server's parent, as its telemetry shows it: ready while it accepts jobs; what it knows of each site."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import psutil
from nvflare.apis.job_def import RunStatus
from nvflare.private.fed.server.fed_server import FederatedServer
from nvflare.private.fed.server.server_status import ServerStatus
from prometheus_client.core import Metric

from fl_app.telemetry.metrics import Identity, gauge_of
from fl_app.telemetry.site_view import FRESH_SECONDS

JOBS_KEPT_SECONDS = 5.0
"""NVFlare reads the whole job store to count jobs; scrapes within this time share one count."""

_RESULTS = {
    RunStatus.FINISHED_COMPLETED.value: "completed",
    RunStatus.FINISHED_ABORTED.value: "aborted",
}


class ServerView:
    """Looks at NVFlare's server when asked.

    Args:
        identity: the server.
        server: NVFlare's server of this parent.
    """

    def __init__(self, identity: Identity, server: FederatedServer) -> None:
        self._identity = identity
        self._server = server
        self._port = identity.federation_port
        self._listens = self._port is None
        self._known_sites: set[str] = set()
        self._jobs: Mapping[str, int] = {}
        self._jobs_counted = 0.0
        self._lock = threading.Lock()

    def notice(self, event: str) -> None:
        """Nothing: all there is to know can be looked up."""

    def not_ready(self) -> str | None:
        """Not started, not listening, or shutting down."""
        if self._server.shutdown:
            return "it shuts down"
        if self._server.status != ServerStatus.STARTED or self._server.admin_server is None:
            return "it starts"
        if not self._is_listening():
            return f"it does not listen on port {self._port} yet"
        return None

    def unhealthy(self) -> str | None:
        """NVFlare's main thread is gone; its other threads would keep the process alive for ever."""
        if not threading.main_thread().is_alive():
            return "NVFlare's main thread has ended"
        return None

    def _is_listening(self) -> bool:
        """NVFlare does not say whether its listener got the port, and goes on without it."""
        if not self._listens:
            self._listens = any(
                connection.status == psutil.CONN_LISTEN and connection.laddr.port == self._port
                for connection in psutil.Process().net_connections(kind="tcp")
            )
        return self._listens

    def metrics(self) -> Iterable[Metric]:
        """Every site that was ever seen, and the jobs by status."""
        registered = gauge_of("registered")
        contact = gauge_of("last_contact_timestamp_seconds")
        clients = {client.name: client for client in self._server.engine.get_clients()}
        self._known_sites |= clients.keys()
        now = time.time()
        for name in sorted(self._known_sites):
            client = clients.get(name)
            is_fresh = client is not None and now - client.last_connect_time < FRESH_SECONDS
            registered.add_metric(self._identity.labels_of(name), float(is_fresh))
            if client is not None:
                contact.add_metric(self._identity.labels_of(name), client.last_connect_time)
        yield registered
        yield contact
        jobs = gauge_of("jobs")
        for status, number in self._count_jobs().items():
            jobs.add_metric((*self._identity.labels, status), number)
        yield jobs

    def running(self) -> Collection[str]:
        """The ids of the jobs whose process or pod runs."""
        return tuple(self._server.engine.run_processes)

    def result(self, job_id: str) -> str:
        """How a job ended, by its status in NVFlare's store: completed, failed or aborted."""
        engine = self._server.engine
        with engine.new_context() as context:
            job = engine.job_def_manager.get_job(job_id, context)
        return _RESULTS.get(_status(job) if job is not None else "", "failed")

    def _count_jobs(self) -> Mapping[str, int]:
        with self._lock:
            if time.monotonic() - self._jobs_counted > JOBS_KEPT_SECONDS or not self._jobs:
                self._jobs = self._read_jobs()
                self._jobs_counted = time.monotonic()
            return self._jobs

    def _read_jobs(self) -> Mapping[str, int]:
        engine = self._server.engine
        counted = Counter({status.value: 0 for status in RunStatus})
        if engine.job_def_manager is not None:
            with engine.new_context() as context:
                counted.update(_status(job) for job in engine.job_def_manager.get_all_jobs(context))
        return counted


def _status(job: Any) -> str:
    return str(getattr(job.meta.get("status"), "value", job.meta.get("status")))
