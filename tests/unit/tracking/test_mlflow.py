"""MLflow's client: its settings, and the answers of an MLflow server or of a proxy before it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fl_app.tracking.forward.mlflow_run import MLflow
from fl_app.tracking.forward.receiver import RefusedError, RunRefusedError, UnavailableError
from fl_app.tracking.points import ScalarPoint
from fl_app.tracking.queue import QueuedJob

JOB = QueuedJob("one", "job", "clinics", "flare-server", 1.0, status="FINISHED:COMPLETED", run="r1")
INVALID = '{"error_code": "INVALID_PARAMETER_VALUE", "message": "invalid"}'


class Server(HTTPServer):
    """Give the same answer to every request but the one for a run."""

    answer, stage = (200, "{}"), "active"


class Request(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(*self.server.answer)

    def do_GET(self) -> None:
        info = {"run_id": "r1", "lifecycle_stage": self.server.stage}
        self._answer(200, json.dumps({"run": {"info": info, "data": {}}}))

    def _answer(self, status: int, content: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Request)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")  # MLflow's default, which takes four minutes
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "stage", "error"),
    [
        ((400, INVALID), "active", RefusedError),
        ((413, "<html>too large</html>"), "active", RefusedError),
        ((400, INVALID), "deleted", RunRefusedError),
        ((403, '{"error_code": "PERMISSION_DENIED", "message": "no"}'), "active", RunRefusedError),
        ((404, '{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no run"}'), "active", RunRefusedError),
        ((401, "<html>log in</html>"), "active", RunRefusedError),
        ((408, "<html>timeout</html>"), "active", UnavailableError),
        ((429, "<html>slow down</html>"), "active", UnavailableError),
        ((503, "<html>starting</html>"), "active", UnavailableError),
    ],
)
def test_a_refused_value_a_refused_run_and_an_unavailable_server_are_told_apart(
    server: Server, tmp_path: Path, answer: tuple[int, str], stage: str, error: type[Exception]
) -> None:
    server.answer, server.stage = answer, stage
    tracker = MLflow(tmp_path)
    with pytest.raises(error):
        tracker.send(JOB, [ScalarPoint(tag="loss", time=1.0, value=0.5)])
    with pytest.raises(UnavailableError if error is UnavailableError else RunRefusedError):
        tracker.close(JOB)


@pytest.mark.parametrize(
    ("requested", "seconds"), [("", "10"), ("soon", "10"), ("0", "10"), ("5", "5"), ("120", "20")]
)
def test_an_unavailable_server_is_reported_in_seconds_regardless_of_its_settings(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requested: str, seconds: str
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", requested)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")

    with pytest.raises(UnavailableError, match="Connection refused"):
        MLflow(tmp_path).open(replace(JOB, run=""))

    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == seconds
