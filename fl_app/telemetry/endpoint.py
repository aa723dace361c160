"""Telemetry port of a parent, over HTTP: /healthz, /readyz, /metrics and /push.

It uses the standard library's HTTP server: a WSGI server cannot limit connections or the time of a request
body.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from fl_app.contract import (
    ENV_METRICS_KEPT,
    ENV_PUSH_HOST,
    ENV_TELEMETRY_HOST,
    ENV_TELEMETRY_PORT,
    METRICS_KEPT_SECONDS,
    TELEMETRY_PORT,
)
from fl_app.disk_space import shortage
from fl_app.telemetry.access import new_push_tokens, push_url
from fl_app.telemetry.interventions import InterventionCounts
from fl_app.telemetry.listeners import Listeners
from fl_app.telemetry.metrics import ParentCollector, ParentIdentity, Source, Starting, View, family_of
from fl_app.telemetry.parent_jobs import ParentJobs
from fl_app.telemetry.pods import job_pod_metrics
from fl_app.telemetry.push_gateway import PushGateway
from fl_app.telemetry.resources import WorkspaceMetrics, gpu_metrics
from fl_app.telemetry.series import JobSeries

REQUEST_TIMEOUT_SECONDS = 10.0
MAX_CONNECTIONS = 64
"""Open connections. A further connection closes the oldest one, so idle clients cannot block others."""
_MAX_DISCARDED_BYTES = 1 << 18
"""Part of a refused document that is read and discarded, so that the client can read the response."""
_BODY_NOT_READ = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.TOO_MANY_REQUESTS,
)
_PUSH = "/push/"
_OPEN_METRICS, _OPEN_METRICS_END = "application/openmetrics-text", b"# EOF\n"

_log = logging.getLogger(__name__)


class Endpoint:
    """Serve the telemetry of one parent from the creation of this object on.

    Args:
        host: address to listen on.
        port: port to listen on; 0 for any free port.
        push_host: name by which jobs reach this port; default: the address.

    Raises:
        OSError: the port is in use.
    """

    def __init__(self, host: str, port: int, push_host: str | None = None) -> None:
        self.view: View = Starting()
        self.identity: ParentIdentity | None = None
        self.was_ready = False
        self.restarts = 0
        self.last_exit = ""
        self.registry = CollectorRegistry()
        self._server = _Server((host, port), _Request)
        self._server.endpoint = self
        self.jobs = ParentJobs()
        self.interventions = InterventionCounts(self.jobs)
        tokens = new_push_tokens(push_url(host, self.port, push_host), self.jobs.launched)
        self.gateway = PushGateway(tokens, self.jobs.may_push)
        self._series: JobSeries | None = None
        self._workspace: Path | None = None
        self._listeners = Listeners()
        threading.Thread(target=self._server.serve_forever, name="telemetry", daemon=True).start()

    @property
    def port(self) -> int:
        """Port on which the endpoint listens."""
        return int(self._server.server_address[1])

    def identify(
        self, identity: ParentIdentity, workspace: Path | None = None, kept: float = METRICS_KEPT_SECONDS
    ) -> None:
        """Set the identity of the parent and start to serve metrics.

        Args:
            identity: the parent.
            workspace: folder whose disk usage and free space are reported; without space, the parent is not
                ready.
            kept: seconds for which the series of a finished job remain.
        """
        self.identity = identity
        self._listeners = Listeners(identity.ports)
        self.jobs.kept = kept
        self._series = JobSeries(identity, self.jobs, self.gateway.drop)
        self.gateway.register(self._series)
        sources: list[Source] = [self._counters, gpu_metrics, job_pod_metrics]
        if workspace is not None:
            self._workspace = workspace
            sources.append(WorkspaceMetrics(workspace))
        self.registry.register(ParentCollector(identity, lambda: self.view, self.not_ready, sources))

    def not_ready(self) -> str | None:
        """Return why the parent is not ready; None if it is."""
        space = shortage(self._workspace) if self._workspace else None
        return self.view.not_ready() or self._listeners.not_ready() or space

    def _counters(self, identity: ParentIdentity) -> Iterable[Metric]:
        """Yield counters. Every label value starts at zero, so that `rate()` sees the first increase."""
        labels, jobs = identity.labels, self.jobs
        yield family_of("jobs_started_total", {labels: jobs.started})
        yield family_of("jobs_finished_total", {(*labels, one): n for one, n in jobs.finished.items()})
        if identity.role == "server":
            yield from self.interventions.metrics(identity)
        dropped = self.gateway.dropped
        yield family_of("telemetry_dropped_total", {(*labels, one): n for one, n in dropped.items()})

    def metrics(self, accept: str) -> tuple[str, bytes]:
        """Return content type and text of all metrics, in the format that the header `Accept` prefers."""
        encode, content_type = choose_encoder(accept)
        text = encode(self.registry)
        if self._series is None:
            return content_type, text
        end = _OPEN_METRICS_END if content_type.startswith(_OPEN_METRICS) else b""
        jobs = self._series.expose(open_metrics=bool(end))
        return content_type, b"".join([text.removesuffix(end), *jobs, end])

    def close(self) -> None:
        """Stop serving and release the port."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 2 * MAX_CONNECTIONS
    endpoint: Endpoint

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: dict[Any, None] = {}
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own; close the oldest connection if there are too many."""
        with self._lock:
            self._open[request] = None
            if len(self._open) > MAX_CONNECTIONS:
                oldest = next(iter(self._open))
                del self._open[oldest]
                with contextlib.suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a closed connection."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that closed their connection."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_TIMEOUT_SECONDS
    server_version = "flarefleet"
    sys_version = ""
    server: _Server

    def do_GET(self) -> None:
        try:
            status, content_type, body = _response(
                self.server.endpoint, self.path.partition("?")[0], self.headers.get("Accept", "")
            )
        except Exception:  # a fault of telemetry must not end the parent's thread that serves it
            _log.exception("Telemetry: the request for %s failed", self.path)
            status, content_type, body = HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", b"see the log\n"
        self._respond(status, content_type, body)

    def do_POST(self) -> None:
        if not self.path.startswith(_PUSH):
            self.close_connection = True
            self._respond(HTTPStatus.NOT_FOUND, "text/plain", b"/push/KIND\n")
            return
        status = self.server.endpoint.gateway.receive(self.path[len(_PUSH) :], self.headers, self.rfile)
        if status not in (HTTPStatus.NO_CONTENT, HTTPStatus.ACCEPTED):
            self.close_connection = True
            if status in _BODY_NOT_READ:
                self._discard_body()
        self._respond(status, "text/plain", b"")

    def _discard_body(self) -> None:
        self.connection.settimeout(0.2)
        with contextlib.suppress(OSError, ValueError):
            left = min(int(self.headers.get("Content-Length", 0)), _MAX_DISCARDED_BYTES)
            while left > 0 and (part := self.rfile.read1(left)):
                left -= len(part)

    def _respond(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: probes and scrapes come every few seconds."""


_Response = tuple[HTTPStatus, str, bytes]


def _response(endpoint: Endpoint, path: str, accept: str) -> _Response:
    match path:
        case "/healthz":
            return _probe_response("healthy", endpoint.view.unhealthy())
        case "/readyz":
            reason = endpoint.not_ready()
            endpoint.was_ready |= reason is None
            starting = {} if reason is None else {"starting": not endpoint.was_ready}
            restarts = {"restarts": endpoint.restarts, "last_exit": endpoint.last_exit}
            away = endpoint.view.away()
            details = starting | (restarts if endpoint.restarts else {}) | ({"away": away} if away else {})
            return _probe_response("ready", reason, details)
        case "/metrics":
            return HTTPStatus.OK, *endpoint.metrics(accept)
    return HTTPStatus.NOT_FOUND, "text/plain", b"/healthz, /readyz or /metrics\n"


def _probe_response(name: str, reason: str | None, details: Mapping[str, Any] | None = None) -> _Response:
    status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
    document = {name: True} if reason is None else {name: False, "reason": reason}
    return status, "application/json", (json.dumps(document | dict(details or {})) + "\n").encode()


_endpoint: Endpoint | None = None


def open_endpoint(host: str, port: int, push_host: str | None = None) -> Endpoint:
    """Return this process's endpoint; open it if it is not open yet.

    Raises:
        OSError: the port is in use.
    """
    global _endpoint  # noqa: PLW0603 - a process has one telemetry port, shared by startup and components
    if _endpoint is None:
        _endpoint = Endpoint(host, port, push_host)
    return _endpoint


def parent_endpoint(name: str, role: str) -> Endpoint:
    """Return the endpoint of this parent, with its identity.

    `fl_app.startup` opens the endpoint. If NVFlare was started without it, this function does, from the same
    variables of the environment.

    Args:
        name: name of the site or server.
        role: server or client.

    Raises:
        OSError: the port is in use.
        ValueError: a variable of the environment is invalid.
    """
    if _endpoint is not None and _endpoint.identity is not None:
        return _endpoint
    endpoint = open_endpoint(
        os.environ.get(ENV_TELEMETRY_HOST) or "0.0.0.0",  # noqa: S104
        int(os.environ.get(ENV_TELEMETRY_PORT) or TELEMETRY_PORT),
        os.environ.get(ENV_PUSH_HOST) or None,
    )
    endpoint.identify(
        ParentIdentity(name, role), kept=float(os.environ.get(ENV_METRICS_KEPT) or METRICS_KEPT_SECONDS)
    )
    return endpoint
