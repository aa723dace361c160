"""The push gateway: what it accepts from jobs, and its response to everything else."""

from __future__ import annotations

import http.client
import socket

import pytest

from fl_app.telemetry import endpoint as endpoint_module
from fl_app.telemetry.access import new_push_tokens, push_environment, push_url
from fl_app.telemetry.endpoint import Endpoint
from fl_app.telemetry.push_gateway import DOCUMENT_BURST, MAX_DOCUMENT_BYTES, REASONS
from tests.unit.telemetry.pushing import Notes, bearer, post

VALID = b'{"text": "hello"}'


def test_a_job_pushes_with_its_token(endpoint: Endpoint, notes: Notes) -> None:
    assert post(endpoint, VALID, bearer("job-1")) == 204
    assert notes.accepted == [("job-1", "hello")]
    assert set(endpoint.gateway.dropped) == set(REASONS)
    assert sum(endpoint.gateway.dropped.values()) == 0


@pytest.mark.parametrize(
    "forged",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer job-1",
        "Bearer job-1.",
        "Bearer ." + "0" * 64,
        "Basic am9iLTE6",
        "Bearer job-1." + "0" * 64,
        "Bearer " + "x" * 10_000,
        "Bearer job-1.\xff\xfe",
    ],
)
def test_an_invalid_token_is_refused(endpoint: Endpoint, notes: Notes, forged: str | None) -> None:
    assert post(endpoint, VALID, forged) == 401
    assert notes.accepted == []
    assert endpoint.gateway.dropped["token"] == 1


def test_a_job_cannot_push_as_another_job(endpoint: Endpoint, notes: Notes) -> None:
    mine = push_environment("job-1")["FLARE_PUSH_TOKEN"]

    assert post(endpoint, VALID, "Bearer " + mine.replace("job-1", "job-2")) == 401
    assert notes.accepted == []


def test_a_restarted_parent_refuses_old_tokens(endpoint: Endpoint, notes: Notes) -> None:
    token = push_environment("job-1")["FLARE_PUSH_TOKEN"]
    again = Endpoint("127.0.0.1", 0)
    again.gateway.register(notes)

    try:
        assert post(again, VALID, "Bearer " + token) == 401
    finally:
        again.close()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"text": 1}', b'{"text": "x", "more": 1}', b"\xff\xfe", b"[" * 100_000]
)
def test_a_malformed_document_is_dropped_and_counted(endpoint: Endpoint, notes: Notes, body: bytes) -> None:
    assert post(endpoint, body, bearer("job-1")) == 400
    assert notes.accepted == []
    assert endpoint.gateway.dropped["malformed"] == 1


def test_a_document_that_is_too_large_is_refused_before_it_is_read(endpoint: Endpoint, notes: Notes) -> None:
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=5) as connection:
        connection.sendall(
            f"POST /push/notes HTTP/1.1\r\nAuthorization: {bearer('job-1')}\r\n"
            f"Content-Length: {MAX_DOCUMENT_BYTES + 1}\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")

    assert endpoint.gateway.dropped["size"] == 1


@pytest.mark.parametrize("length", ["", "-1", "1e3", "99999999999999999999", "\xb2"])
def test_an_invalid_content_length_is_refused(endpoint: Endpoint, notes: Notes, length: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=5)
    connection.putrequest("POST", "/push/notes")
    connection.putheader("Authorization", bearer("job-1"))
    if length:
        connection.putheader("Content-Length", length)
    connection.endheaders()

    assert connection.getresponse().status in (411, 413)
    assert endpoint.gateway.dropped["size"] == 1
    connection.close()


def test_an_unregistered_kind_is_refused(endpoint: Endpoint, notes: Notes) -> None:
    assert post(endpoint, VALID, bearer("job-1"), "/push/secrets") == 404
    assert endpoint.gateway.dropped["kind"] == 1


def test_a_job_that_pushes_too_much_is_limited_and_other_jobs_are_not(
    endpoint: Endpoint, notes: Notes
) -> None:
    answers = [post(endpoint, VALID, bearer("job-1")) for _ in range(int(DOCUMENT_BURST) + 30)]

    assert answers[0] == 204
    assert 429 in answers
    assert endpoint.gateway.dropped["rate"] == answers.count(429)
    assert post(endpoint, VALID, bearer("job-2")) == 204


def test_dropped_parts_of_a_document_are_counted(endpoint: Endpoint, notes: Notes) -> None:
    assert post(endpoint, b'{"text": "full"}', bearer("job-1")) == 202
    assert endpoint.gateway.dropped["capacity"] == 3


def test_an_error_in_a_kind_does_not_affect_other_requests(endpoint: Endpoint, notes: Notes) -> None:
    assert post(endpoint, b'{"text": "broken"}', bearer("job-1")) == 500
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
    new_push_tokens(push_url(listens_on, 9464, name))

    assert push_environment("job-1")["FLARE_PUSH_URL"] == url
