"""The push gateway: what it accepts from jobs, and its response to everything else."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from fl_app.telemetry import endpoint as endpoint_module
from fl_app.telemetry import push_gateway
from fl_app.telemetry.access import new_push_tokens, push_environment, push_url
from fl_app.telemetry.endpoint import Endpoint
from fl_app.telemetry.push_gateway import DOCUMENT_BURST, MAX_DOCUMENT_BYTES, REASONS, PushGateway
from tests.unit.telemetry.pushing import Notes, bearer, post

VALID = b'{"text": "hello"}'


def test_a_job_pushes_with_its_token(endpoint: Endpoint, notes: Notes) -> None:
    assert post(endpoint, VALID, bearer("job-1")) == 204
    assert notes.accepted == [("job-1", "hello")]
    assert set(endpoint.gateway.dropped) == set(REASONS)
    assert sum(endpoint.gateway.dropped.values()) == 0


FORGED = [
    "Bearer",
    "Bearer ",
    "Bearer job-1",
    "Bearer job-1.",
    "Bearer ." + "0" * 64,
    "Basic am9iLTE6",
    "Bearer job-1." + "0" * 64,
    "Bearer " + "x" * 10_000,
    "Bearer job-1.\xff\xfe",
]
MALFORMED = [b"", b"{", b"[]", b'{"text": 1}', b'{"text": "x", "more": 1}', b"\xff\xfe", b"[" * 100_000]


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"authorization": None}, 401, "token"),
        *(({"authorization": forged}, 401, "token") for forged in FORGED),
        *(({"body": body}, 400, "malformed") for body in MALFORMED),
        ({"path": "/push/secrets"}, 404, "kind"),
        *(({"Content-Length": length}, 411, "size") for length in ("-1", "1e3", "\xb2")),
        *(({"Content-Length": size}, 413, "size") for size in (f"{MAX_DOCUMENT_BYTES + 1}", "9" * 20)),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_an_invalid_push_is_refused_and_counted(
    endpoint: Endpoint, notes: Notes, change: dict[str, Any], status: int, reason: str
) -> None:
    assert post(endpoint, **{"body": VALID, "authorization": bearer("job-1"), **change}) == status

    assert notes.accepted == []
    assert endpoint.gateway.dropped[reason] == sum(endpoint.gateway.dropped.values()) == 1


def test_tokens_of_another_job_or_of_a_previous_start_are_refused(endpoint: Endpoint, notes: Notes) -> None:
    mine = bearer("job-1")
    assert post(endpoint, VALID, mine.replace("job-1", "job-2")) == 401

    endpoint.gateway = PushGateway(new_push_tokens("", lambda job_id: None), lambda job_id: True)
    endpoint.gateway.register(notes)

    assert post(endpoint, VALID, mine) == 401
    assert notes.accepted == []


def test_a_job_that_pushes_too_much_is_limited_and_other_jobs_are_not(
    endpoint: Endpoint, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_gateway, "DOCUMENTS_PER_SECOND", 0.01)  # a busy machine posts slowly
    answers = [post(endpoint, VALID, bearer("job-1")) for _ in range(int(DOCUMENT_BURST) + 30)]

    assert answers[0] == 204
    assert 429 in answers
    assert endpoint.gateway.dropped["rate"] == answers.count(429)
    assert post(endpoint, VALID, bearer("job-2")) == 204


@pytest.mark.parametrize(("text", "status", "dropped"), [("full", 202, 3), ("broken", 500, 0)])
def test_dropped_parts_are_counted_and_an_error_does_not_affect_other_requests(
    endpoint: Endpoint, notes: Notes, text: str, status: int, dropped: int
) -> None:
    assert post(endpoint, b'{"text": "%s"}' % text.encode(), bearer("job-1")) == status
    assert endpoint.gateway.dropped["capacity"] == dropped
    assert post(endpoint, VALID, bearer("job-1")) == 204


def test_a_truncated_body_is_dropped(endpoint: Endpoint, notes: Notes) -> None:
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=5) as connection:
        connection.sendall(
            f"POST /push/notes HTTP/1.1\r\nAuthorization: {bearer('job-1')}\r\n"
            f"Content-Length: 100\r\n\r\nshort".encode()
        )
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")

    assert endpoint.gateway.dropped["malformed"] == 1


def test_idle_connections_do_not_block_others(
    endpoint: Endpoint, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_module, "MAX_CONNECTIONS", 4)
    connections = [socket.create_connection(("127.0.0.1", endpoint.port), timeout=5) for _ in range(20)]

    assert post(endpoint, VALID, bearer("job-1")) == 204
    assert connections[0].recv(1) == b"", "the oldest connection is closed"
    for connection in connections:
        connection.close()


@pytest.mark.parametrize(
    ("listens_on", "name", "url"),
    [
        ("0.0.0.0", None, "http://127.0.0.1:9464/push"),
        ("127.0.0.1", None, "http://127.0.0.1:9464/push"),
        ("10.0.0.7", None, "http://10.0.0.7:9464/push"),
        ("::", None, "http://127.0.0.1:9464/push"),
        ("fd00::7", None, "http://[fd00::7]:9464/push"),
        ("0.0.0.0", "site-1-flare", "http://site-1-flare:9464/push"),
    ],
)
def test_jobs_receive_the_push_url_of_their_parent(listens_on: str, name: str | None, url: str) -> None:
    new_push_tokens(push_url(listens_on, 9464, name), lambda job_id: None)

    assert push_environment("job-1")["FLARE_PUSH_URL"] == url
