"""The telemetry port of a parent: /healthz, /readyz, /metrics and /push over HTTP."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from fl_app.telemetry.access import open_access, push_url
from fl_app.telemetry.counts import Counts
from fl_app.telemetry.intake import Intake
from fl_app.telemetry.metrics import Identity, ParentCollector, Source
from fl_app.telemetry.pods import Pods
from fl_app.telemetry.resources import Gpus, WorkspaceSpace
from fl_app.telemetry.roster import KEPT_SECONDS, Roster
from fl_app.telemetry.series import JobSeries
from fl_app.telemetry.view import Starting, View

REQUEST_TIMEOUT_SECONDS = 10.0
CONNECTIONS = 64
"""At once; for one more, the one that has been open longest is cut: whoever dawdles keeps nobody out."""
_UNREAD_BYTES = 1 << 18
"""Of a refused document: read and thrown away, so that its sender gets to see the answer."""
_NOT_READ = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.TOO_MANY_REQUESTS,
)
_PUSH = "/push/"
_OPEN_METRICS, _END_OF_OPEN_METRICS = "application/openmetrics-text", b"# EOF\n"

_log = logging.getLogger(__name__)


class Endpoint:
    """Serves one parent's telemetry from the moment it is made.

    Args:
        host: address to listen on.
        port: port to listen on; 0 for any.
        push_host: the name under which jobs reach this port, if not the address.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, host: str, port: int, push_host: str | None = None) -> None:
        self.view: View = Starting()
        self.identity: Identity | None = None
        self.was_ready = False
        self.registry = CollectorRegistry(auto_describe=False)
        self._server = _Server((host, port), _Request)
        self._server.endpoint = self
        self.roster = Roster()
        self.intake = Intake(
            open_access(push_url(host, self.port, push_host), self.roster.granted), self.roster.admits
        )
        self._series: JobSeries | None = None
        threading.Thread(target=self._server.serve_forever, name="telemetry", daemon=True).start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def identify(self, identity: Identity, workspace: Path | None = None, kept: float = KEPT_SECONDS) -> None:
        """Say whose telemetry this is; from then on there are metrics.

        Args:
            identity: whose.
            workspace: of which the used and free space is shown.
            kept: seconds for which a finished job's series stay.
        """
        self.identity = identity
        self.roster.kept = kept
        self._series = JobSeries(identity, self.roster, self.intake.drop)
        self.intake.register(self._series)
        sources: list[Source] = [
            Counts(identity, self.roster, self.intake),
            Gpus(identity),
            Pods(identity),
        ]
        if workspace is not None:
            sources.append(WorkspaceSpace(identity, workspace))
        self.registry.register(ParentCollector(identity, lambda: self.view, sources))

    def metrics(self, accept: str) -> tuple[str, bytes]:
        """Content type and text of all metrics, in the format that `accept` (an Accept header) prefers."""
        encode, kind = choose_encoder(accept)
        text = encode(self.registry)
        if self._series is None:
            return kind, text
        end = _END_OF_OPEN_METRICS if kind.startswith(_OPEN_METRICS) else b""
        jobs = self._series.expose(open_metrics=bool(end))
        return kind, b"".join([text.removesuffix(end), *jobs, end])

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 2 * CONNECTIONS
    endpoint: Endpoint

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: dict[Any, None] = {}
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own; cut the oldest if there are too many."""
        with self._lock:
            self._open[request] = None
            if len(self._open) > CONNECTIONS:
                oldest = next(iter(self._open))
                del self._open[oldest]
                with contextlib.suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: whoever hung up knows it."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_TIMEOUT_SECONDS
    server_version = "flarefleet"
    sys_version = ""
    server: _Server

    def do_GET(self) -> None:
        try:
            answer = _ANSWERS.get(self.path.partition("?")[0], _not_found)
            status, kind, body = answer(self.server.endpoint, self.headers.get("Accept", ""))
        except Exception:
            _log.exception("Telemetry could not answer %s", self.path)
            status, kind, body = HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", b"see the log\n"
        self._answer(status, kind, body)

    def do_POST(self) -> None:
        if not self.path.startswith(_PUSH):
            self.close_connection = True
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/push/KIND\n")
            return
        status = self.server.endpoint.intake.receive(self.path[len(_PUSH) :], self.headers, self.rfile)
        if status is not HTTPStatus.NO_CONTENT:
            self.close_connection = True
            if status in _NOT_READ:
                self._throw_away()
        self._answer(status, "text/plain", b"")

    def _throw_away(self) -> None:
        """Read what is there of a refused document, and wait for no more of it."""
        self.connection.settimeout(0.2)
        with contextlib.suppress(OSError, ValueError):
            left = min(int(self.headers.get("Content-Length", 0)), _UNREAD_BYTES)
            while left > 0 and (part := self.rfile.read1(left)):
                left -= len(part)

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: somebody asks every few seconds."""


_Answer = tuple[HTTPStatus, str, bytes]


def _healthz(endpoint: Endpoint, accept: str) -> _Answer:
    return _verdict("healthy", endpoint.view.unhealthy())


def _readyz(endpoint: Endpoint, accept: str) -> _Answer:
    objection = endpoint.view.not_ready()
    endpoint.was_ready |= objection is None
    return _verdict("ready", objection, {"starting": not endpoint.was_ready})


def _verdict(name: str, objection: str | None, further: Mapping[str, bool] | None = None) -> _Answer:
    if objection is None:
        return HTTPStatus.OK, *_json({name: True})
    return HTTPStatus.SERVICE_UNAVAILABLE, *_json({name: False, "reason": objection, **(further or {})})


def _json(document: Mapping[str, bool | str]) -> tuple[str, bytes]:
    return "application/json", (json.dumps(document) + "\n").encode()


def _metrics(endpoint: Endpoint, accept: str) -> _Answer:
    return HTTPStatus.OK, *endpoint.metrics(accept)


def _not_found(endpoint: Endpoint, accept: str) -> _Answer:
    return HTTPStatus.NOT_FOUND, "text/plain", b"/healthz, /readyz or /metrics\n"


_ANSWERS = {"/healthz": _healthz, "/readyz": _readyz, "/metrics": _metrics}

_endpoint: Endpoint | None = None


def open_endpoint(host: str, port: int, push_host: str | None = None) -> Endpoint:
    """Open this process's telemetry, or return it if it is open.

    Raises:
        OSError: the port is taken.
    """
    global _endpoint  # noqa: PLW0603 - a process has one telemetry port, shared by start-up and component
    if _endpoint is None:
        _endpoint = Endpoint(host, port, push_host)
    return _endpoint
