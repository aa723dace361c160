"""A parent's telemetry port, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fl_app.telemetry.access import new_push_tokens, push_url
from fl_app.telemetry.endpoint import Endpoint
from fl_app.telemetry.metrics import ParentIdentity, Starting
from fl_app.telemetry.parent_jobs import ParentJobs
from fl_app.telemetry.push_gateway import PushGateway
from tests.unit.telemetry.pushing import Notes


@pytest.fixture(scope="module")
def shared_endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint("127.0.0.1", 0)
    endpoint.identify(ParentIdentity("site-1", "client", {"own": 1234.0}, project="hospitals"))
    yield endpoint
    endpoint.close()


@pytest.fixture
def endpoint(shared_endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with new tokens and counters, as after a restart of the parent."""
    jobs = ParentJobs()
    tokens = new_push_tokens(push_url("127.0.0.1", shared_endpoint.port, None), jobs.launched)
    shared_endpoint.gateway = PushGateway(tokens, jobs.may_push)
    shared_endpoint.view, shared_endpoint.was_ready = Starting(), False
    return shared_endpoint


@pytest.fixture
def notes(endpoint: Endpoint) -> Notes:
    notes = Notes()
    endpoint.gateway.register(notes)
    return notes
