"""Fuzzing of the push gateway: no crash, no change of another job's series, and no unbounded growth."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from email.message import Message
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from fl_app.telemetry import series as series_module
from fl_app.telemetry.access import new_push_tokens, push_environment
from fl_app.telemetry.catalogue import JOBS
from fl_app.telemetry.metrics import ParentIdentity
from fl_app.telemetry.parent_jobs import ParentJobs
from fl_app.telemetry.push_gateway import PushGateway
from fl_app.telemetry.series import JobSeries

ACCEPTED = {HTTPStatus.NO_CONTENT, HTTPStatus.ACCEPTED}
"""The last if the job has as many series as it may have: further ones are dropped and counted."""
STATUSES = {
    *ACCEPTED,
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.LENGTH_REQUIRED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.TOO_MANY_REQUESTS,
}
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "30"))
VICTIMS_LINE = 'nvflare_job_round{project="p",site="s",role="server",job="victim"} 7.0'


class Parent:
    """A parent with the series of a victim. Its clock advances fast, so the rate limit never applies."""

    def __init__(self) -> None:
        self.now = 0.0
        self.jobs = ParentJobs(clock=lambda: self.now)
        access = new_push_tokens("http://127.0.0.1:9464/push", self.jobs.launched)
        self.gateway = PushGateway(access, self.jobs.may_push, lambda: self.now)
        self.series = JobSeries(ParentIdentity("s", "server", project="p"), self.jobs, self.gateway.drop)
        self.gateway.register(self.series)
        self.jobs.launched("victim-id", "victim")
        self.jobs.launched("hostile-id", "hostile")
        self.jobs.running = lambda: {"victim-id", "hostile-id"}
        assert self.push("victim-id", b'{"values": [["job_round", [], 7]]}') == HTTPStatus.NO_CONTENT

    def push(self, job_id: str, body: bytes, kind: str = "metrics") -> HTTPStatus:
        token = push_environment(job_id)["FLARE_PUSH_TOKEN"]
        headers = {"Authorization": f"Bearer {token}", "Content-Length": f"{len(body)}"}
        return self.receive(headers, body, kind)

    def receive(self, headers: dict[str, str], body: bytes, kind: str = "metrics") -> HTTPStatus:
        self.now += 1
        message = Message()
        for name, value in headers.items():
            message[name] = value
        return self.gateway.receive(kind, message, io.BytesIO(body))

    def is_intact(self) -> bool:
        text = b"".join(self.series.expose(open_metrics=False)).decode()
        assert text.count(VICTIMS_LINE) == 1
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        assert {one.labels["job"] for one in samples} <= {"victim", "hostile"}
        of_victim = [one.name for one in samples if one.labels["job"] == "victim"]
        assert of_victim == ["nvflare_job_info", "nvflare_job_round"]
        return len(samples) < 2000


@pytest.fixture(scope="module")
def parent() -> Iterator[Parent]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_module, "MAX_SERIES_PER_JOB", 50)
        yield Parent()


texts = st.text(max_size=200) | st.sampled_from(["victim", "hospital", 'x"} 1\n', "\\", "\n", "site-1"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
anything = st.recursive(
    scalars, lambda some: st.lists(some, max_size=5) | st.dictionaries(texts, some, max_size=5)
)
names = st.sampled_from([*JOBS, "up", "job_info", "nvflare_job_round"]) | texts
labels = st.lists(texts | scalars, max_size=4)
known_names = st.sampled_from(["training_metric", "job_errors_total", "rounds_missed_total", "job_round"])
values = st.lists(st.tuples(names, labels, st.floats() | st.integers() | anything), max_size=20)
counts = st.lists(st.integers(min_value=-1, max_value=2**70), max_size=20)
distributions = st.lists(st.tuples(names, labels, counts, st.floats() | anything), max_size=5)
documents = st.fixed_dictionaries(
    {},
    optional={
        "values": values | anything,
        "distributions": distributions | anything,
        "dropped": st.dictionaries(st.sampled_from(["capacity", "queue", "token"]), st.integers()) | anything,
        "job": texts,
    },
)


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(
    body=(documents | anything).map(encoded) | st.binary(max_size=500),
    kind=st.sampled_from(["metrics", "metrics", "metrics", "metrics", "../metrics", "", "\n"]),
)
def test_no_document_affects_another_job_or_the_limits(parent: Parent, body: bytes, kind: str) -> None:
    assert parent.push("hostile-id", body, kind) in STATUSES
    assert parent.is_intact()


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    known=st.lists(
        st.tuples(known_names, texts, texts),
        max_size=30,
    )
)
def test_a_nearly_valid_document_is_accepted_or_refused_as_a_whole(
    parent: Parent, known: list[tuple[str, str, str]]
) -> None:
    wanted = {"training_metric": 2, "job_round": 0}
    document = {"values": [[name, [one, two][: wanted.get(name, 1)], 1.0] for name, one, two in known]}

    assert parent.push("hostile-id", encoded(document)) in {*ACCEPTED, HTTPStatus.BAD_REQUEST}
    assert parent.is_intact()


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    authorization=st.none()
    | texts
    | st.builds("Bearer {}".format, texts)
    | st.builds("Bearer victim-id.{}".format, texts),
    length=st.none() | texts | st.integers().map(str),
    body=st.binary(max_size=50) | st.just(b'{"values": [["job_round", [], 8]]}'),
)
def test_a_push_without_a_valid_token_is_refused(
    parent: Parent, authorization: str | None, length: str | None, body: bytes
) -> None:
    # http.server reads a header as one line of Latin-1.
    headers = {
        name: "".join(character for character in text if "\x20" <= character <= "\xff")
        for name, text in (("Authorization", authorization), ("Content-Length", length))
        if text is not None
    }

    assert parent.receive(headers, body) is HTTPStatus.UNAUTHORIZED
    assert parent.is_intact()
