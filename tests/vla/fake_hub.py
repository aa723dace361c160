"""A fake model hub on loopback, with the API calls that huggingface_hub uses to publish a folder."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeHub:
    """A hub that keeps pushed files in memory.

    Args:
        token: the accepted access token.
        may_write: whether the token may push.
    """

    def __init__(self, token: str, may_write: bool = True) -> None:
        self.token = token
        self.may_write = may_write
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        handler = type("Handler", (_Request,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Request(BaseHTTPRequestHandler):
    hub: FakeHub

    def do_GET(self) -> None:
        if not self._is_known():
            self._answer(401, {"error": "Invalid username or password."})
        elif self.path == "/api/whoami-v2":
            self._answer(200, {"name": "lab", "type": "user"})
        elif self._repository() in self.hub.repositories:
            self._answer(200, {"id": self._repository(), "sha": "0" * 40, "siblings": []})
        else:
            self._answer(404, {"error": "not here"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self._is_known():
            self._answer(401, {"error": "Invalid username or password."})
        elif not self.hub.may_write:
            self._answer(403, {"error": "You don't have the rights to create a model under this namespace"})
        elif self.path == "/api/repos/create":
            self._create(json.loads(body))
        elif "/preupload/" in self.path:
            files = [{"path": f["path"], "uploadMode": "regular"} for f in json.loads(body)["files"]]
            self._answer(200, {"files": [{**file, "shouldIgnore": False} for file in files]})
        elif "/commit/" in self.path:
            self._commit([json.loads(line) for line in body.splitlines()])
        else:
            self._answer(200, {})

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted.get('organization') or 'lab'}/{wanted['name']}"
        if name in self.hub.repositories:
            self._answer(
                409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"}
            )
            return
        self.hub.repositories[name] = {}
        self.hub.private[name] = bool(wanted.get("private") or wanted.get("visibility") == "private")
        self._answer(200, {"url": f"{self.hub.url}/{name}"})

    def _commit(self, operations: list[dict[str, Any]]) -> None:
        files = self.hub.repositories[self._repository()]
        for operation in operations:
            if operation["key"] == "file":
                value = operation["value"]
                files[value["path"]] = base64.b64decode(value["content"])
        url = f"{self.hub.url}/{self._repository()}/commit/{'1' * 40}"
        self._answer(200, {"commitOid": "1" * 40, "commitUrl": url, "success": True})

    def _repository(self) -> str:
        return "/".join(self.path.split("/")[3:5])

    def _is_known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status >= 400:
            self.send_header("X-Error-Message", document["error"])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Suppress the log."""
