"""Fake of W&B's server on loopback: the few requests with which W&B's client sends a run."""

from __future__ import annotations

import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HISTORY = "wandb-history.jsonl"
_PROJECT = {"id": "p", "name": "p", "entity": {"id": "e", "name": "lab"}}


class FakeWandB:
    """Stores the history of the runs that it receives."""

    def __init__(self) -> None:
        self.history: dict[str, list[dict[str, Any]]] = {}
        """Logged values of each step, by run."""
        self.ended: dict[str, int] = {}
        """Exit code of each closed run."""
        self.refused: dict[tuple[str, str], int] = {}
        """HTTP status of the refusal of each refused run: ("upsertBucket", RUN) or ("file_stream", RUN)."""
        self.port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server."""
        handler = type("Handler", (_Request,), {"wandb": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop the server; the history remains."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def is_running(self) -> bool:
        return self._server is not None

    def store(self, run: str, document: dict[str, Any]) -> None:
        """Store a part of a run's files."""
        if part := document.get("files", {}).get(HISTORY):
            history = self.history.setdefault(run, [])
            history[part["offset"] :] = [json.loads(line) for line in part["content"]]
        if document.get("complete"):
            self.ended[run] = document["exitcode"]


class _Request(BaseHTTPRequestHandler):
    wandb: FakeWandB

    def do_PUT(self) -> None:
        self._body()
        self._answer({})

    def do_POST(self) -> None:
        body = self._body()
        if not self.wandb.is_running:  # a connection that was open before the server stopped
            self.close_connection = True
            return
        if self.path.endswith("/file_stream"):
            run = self.path.split("/")[-2]
            if status := self.wandb.refused.get(("file_stream", run)):
                self._answer({"error": "the run was deleted"}, status)
                return
            self.wandb.store(run, json.loads(body))
            self._answer({"limits": {}})
        elif self.path.endswith("/graphql"):
            request = json.loads(body)
            query, variables = request["query"], request["variables"] or {}
            if "upsertBucket" in query and (
                status := self.wandb.refused.get(("upsertBucket", variables["name"]))
            ):
                self._answer({"errors": [{"message": "permission denied"}]}, status)
            else:
                self._answer({"data": self._result(query, variables)})
        else:
            self._answer({})

    def _result(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        called = re.search(r"\b(upsertBucket|createRunFiles|model)\(", query)
        match called.group(1) if called else "":
            case "upsertBucket":
                bucket = {"id": "r", "name": variables["name"], "historyLineCount": 0, "project": _PROJECT}
                return {"upsertBucket": {"bucket": bucket, "inserted": True}}
            case "createRunFiles":
                files = [
                    {"name": name, "uploadUrl": f"{self.wandb.url}/files"} for name in variables["files"]
                ]
                return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
            case "model":
                return {"model": {**_PROJECT, "bucket": None}}
        return {}

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, document: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
