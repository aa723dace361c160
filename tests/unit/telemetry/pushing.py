"""What tests of pushing share: a parent's telemetry port, and a kind of document that keeps what it gets."""

from __future__ import annotations

import http.client
from contextlib import closing
from typing import Any

from pydantic import BaseModel, Field

from fl_app.telemetry.access import open_access, push_environment, push_url
from fl_app.telemetry.endpoint import Endpoint
from fl_app.telemetry.intake import Intake
from fl_app.telemetry.roster import Roster


class Note(BaseModel, extra="forbid"):
    """A document with one text."""

    text: str = Field(max_length=100)


class Notes:
    """A kind that keeps every note, and has room for texts that are not "full"."""

    name = "notes"
    document = Note

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []

    def accept(self, job_id: str, document: Any) -> int:
        if document.text == "broken":
            raise RuntimeError("broken")
        if document.text == "full":
            return 3
        self.taken.append((job_id, document.text))
        return 0


def begun_anew(endpoint: Endpoint) -> Endpoint:
    """The same port with nothing granted, taken or dropped yet, as of a parent that has just started."""
    roster = Roster()
    access = open_access(push_url("127.0.0.1", endpoint.port, None), roster.granted)
    endpoint.intake = Intake(access, roster.admits)
    return endpoint


def bearer(job_id: str) -> str:
    """The Authorization header of a job of the endpoint that was opened last."""
    return "Bearer " + push_environment(job_id)["FLARE_PUSH_TOKEN"]


def post(
    endpoint: Endpoint, body: bytes, authorization: str | None, path: str = "/push/notes", **headers: str
) -> int:
    """Push, and return the status of the answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=5)) as connection:
        further = {"Authorization": authorization} if authorization is not None else {}
        connection.request("POST", path, body, {**further, **headers})
        return connection.getresponse().status
