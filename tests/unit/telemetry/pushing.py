"""Helpers for tests of pushing: a kind of document, and a client."""

from __future__ import annotations

import http.client
from contextlib import closing
from typing import Any

from pydantic import BaseModel, Field

from fl_app.telemetry.access import push_environment
from fl_app.telemetry.endpoint import Endpoint


class Note(BaseModel, extra="forbid"):
    """A document with one text."""

    text: str = Field(max_length=100)


class Notes:
    """A kind of document. It stores every note, drops parts of "full", and raises for "broken"."""

    name = "notes"
    document = Note

    def __init__(self) -> None:
        self.accepted: list[tuple[str, str]] = []

    def accept(self, job_id: str, document: Any) -> int:
        if document.text == "broken":
            raise RuntimeError("broken")
        if document.text == "full":
            return 3
        self.accepted.append((job_id, document.text))
        return 0


def bearer(job_id: str) -> str:
    """Return the Authorization header of a job of the endpoint that was opened last."""
    return "Bearer " + push_environment(job_id)["FLARE_PUSH_TOKEN"]


def post(
    endpoint: Endpoint, body: bytes, authorization: str | None, path: str = "/push/notes", **headers: str
) -> int:
    """Push, and return the status of the response."""
    with closing(http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=5)) as connection:
        further = {"Authorization": authorization} if authorization is not None else {}
        connection.request("POST", path, body, {**further, **headers})
        return connection.getresponse().status
