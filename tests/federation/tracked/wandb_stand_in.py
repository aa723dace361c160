"""A W&B server on loopback that speaks the few calls with which its client sends a run."""

from __future__ import annotations

import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HISTORY = "wandb-history.jsonl"
_PROJECT = {"id": "p", "name": "p", "entity": {"id": "e", "name": "lab"}}


class WandBStandIn:
    """Keeps the history of the runs that are sent to it.

    Args:
        port: where it listens; a free one if 0.
    """

    def __init__(self, port: int = 0) -> None:
        self.history: dict[str, list[dict[str, Any]]] = {}
        """By run: what each step logged."""
        self.ended: dict[str, int] = {}
        """By run: the exit code with which it ended."""
        self.port = port
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Answer."""
        handler = type("Handler", (_Request,), {"wandb": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Refuse every connection; what was kept stays."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def is_there(self) -> bool:
        return self._server is not None

    def take(self, run: str, document: dict[str, Any]) -> None:
        """A part of a run's files."""
        if part := document.get("files", {}).get(HISTORY):
            kept = self.history.setdefault(run, [])
            kept[part["offset"] :] = [json.loads(line) for line in part["content"]]
        if document.get("complete"):
            self.ended[run] = document["exitcode"]


class _Request(BaseHTTPRequestHandler):
    wandb: WandBStandIn

    def do_PUT(self) -> None:
        self._body()
        self._answer({})

    def do_POST(self) -> None:
        body = self._body()
        if not self.wandb.is_there:  # a connection from before it went
            self.close_connection = True
            return
        if self.path.endswith("/file_stream"):
            self.wandb.take(self.path.split("/")[-2], json.loads(body))
            self._answer({"limits": {}})
        elif self.path.endswith("/graphql"):
            asked = json.loads(body)
            self._answer({"data": self._asked(asked["query"], asked["variables"] or {})})
        else:
            self._answer({})

    def _asked(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        called = re.search(r"\b(upsertBucket|createRunFiles|model)\(", query)
        match called.group(1) if called else "":
            case "upsertBucket":
                bucket = {"id": "r", "name": given["name"], "historyLineCount": 0, "project": _PROJECT}
                return {"upsertBucket": {"bucket": bucket, "inserted": True}}
            case "createRunFiles":
                files = [{"name": name, "uploadUrl": f"{self.wandb.url}/files"} for name in given["files"]]
                return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
            case "model":
                return {"model": {**_PROJECT, "bucket": None}}
        return {}

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
