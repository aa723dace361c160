"""The telemetry port: its responses, and that errors of a view do not stop it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from fl_app import disk_space
from fl_app.telemetry.endpoint import Endpoint
from fl_app.telemetry.metrics import ParentIdentity, Starting, View, family_of


class Fixed(View):
    """A view with fixed responses."""

    def __init__(self, unhealthy: str | None = None, not_ready: str | None = None) -> None:
        self._reasons = unhealthy, not_ready

    def unhealthy(self) -> str | None:
        return self._reasons[0]

    def not_ready(self) -> str | None:
        return self._reasons[1]

    def metrics(self) -> Iterable[Metric]:
        return [family_of("registered", {("hospitals", "site-1", "client"): 1})]


class Broken(View):
    """A view that raises errors."""

    def not_ready(self) -> str | None:
        raise RuntimeError("broken")

    def metrics(self) -> Iterable[Metric]:
        raise RuntimeError("broken")


def get(endpoint: Endpoint, path: str, method: str = "GET") -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=5)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def metrics(endpoint: Endpoint) -> dict[str, float]:
    families = text_string_to_metric_families(get(endpoint, "/metrics")[1])
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_a_starting_parent_is_healthy_and_not_ready_with_a_reason(endpoint: Endpoint) -> None:
    endpoint.view = Starting("waiting for flare-server")

    assert get(endpoint, "/healthz") == (200, '{"healthy": true}\n')
    status, body = get(endpoint, "/readyz")
    assert status == 503
    assert json.loads(body) == {"ready": False, "reason": "waiting for flare-server", "starting": True}
    assert metrics(endpoint)["nvflare_up"] == 0


def test_a_parent_that_was_ready_before_is_not_starting(endpoint: Endpoint) -> None:
    endpoint.view = Fixed()
    assert get(endpoint, "/readyz") == (200, '{"ready": true}\n')

    endpoint.view = Fixed(unhealthy="no heartbeat", not_ready="refused")

    assert json.loads(get(endpoint, "/readyz")[1])["starting"] is False
    assert get(endpoint, "/healthz") == (503, '{"healthy": false, "reason": "no heartbeat"}\n')


def test_metrics_have_the_labels_of_the_parent(endpoint: Endpoint) -> None:
    endpoint.view = Fixed()

    text = get(endpoint, "/metrics")[1]

    assert 'nvflare_registered{project="hospitals",role="client",site="site-1"} 1.0' in text
    assert (
        'nvflare_certificate_expiry_timestamp_seconds{certificate="own",project="hospitals",role="client",'
        'site="site-1"} 1234.0' in text
    )
    assert metrics(endpoint)["nvflare_up"] == 1


def test_errors_of_a_view_are_counted_and_do_not_affect_other_metrics(endpoint: Endpoint) -> None:
    endpoint.view = Broken()

    found = metrics(endpoint)

    assert found["nvflare_telemetry_errors_total"] == 2
    assert found["nvflare_ready"] == 0
    assert found["nvflare_up"] == 1
    assert get(endpoint, "/readyz")[0] == 500
    assert get(endpoint, "/healthz")[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", path, 404) for path in ("/", "/push/metrics", "/metrics/", "/%00")),
        ("GET", "/healthz?x=1", 200),
        ("POST", "/healthz", 404),
        ("PUT", "/healthz", 501),
    ],
)
def test_other_paths_and_methods_are_refused(endpoint: Endpoint, method: str, path: str, status: int) -> None:
    assert get(endpoint, path, method)[0] == status


def test_an_invalid_request_does_not_stop_the_server(endpoint: Endpoint) -> None:
    with socket.create_connection(("127.0.0.1", endpoint.port)) as connection:
        connection.sendall(b"\x16\x03\x01\x00\xff" * 100 + b"\r\n\r\n")

    assert get(endpoint, "/healthz")[0] == 200


def test_a_parent_without_space_is_not_ready_until_there_is_room_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endpoint = Endpoint("127.0.0.1", 0)
    try:
        endpoint.identify(ParentIdentity("site-1", "client"), tmp_path)
        endpoint.view = Fixed()
        monkeypatch.setattr(disk_space, "MINIMUM_READY_BYTES", 2**60)  # a real full volume would need a mount

        status, body = get(endpoint, "/readyz")
        assert status == 503
        assert "no space left on its workspace (" in json.loads(body)["reason"]
        assert metrics(endpoint)["nvflare_ready"] == 0

        monkeypatch.undo()
        assert get(endpoint, "/readyz") == (200, '{"ready": true}\n')
        assert metrics(endpoint)["nvflare_ready"] == 1
    finally:
        endpoint.close()


def test_a_parent_that_was_started_again_says_how_often_and_why() -> None:
    endpoint = Endpoint("127.0.0.1", 0)
    try:
        endpoint.view = Fixed()
        endpoint.restarts, endpoint.last_exit = 2, "was killed by signal 9"

        answer = json.loads(get(endpoint, "/readyz")[1])
    finally:
        endpoint.close()

    assert answer == {"ready": True, "restarts": 2, "last_exit": "was killed by signal 9"}


def test_a_parent_that_started_with_the_least_space_stays_ready_while_it_writes_its_logs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(disk_space, "free_space", lambda _: disk_space.MINIMUM_FREE_BYTES - 2**20)
    endpoint = Endpoint("127.0.0.1", 0)
    try:
        endpoint.identify(ParentIdentity("site-1", "client"), tmp_path)
        endpoint.view = Fixed()

        assert get(endpoint, "/readyz")[0] == 200
    finally:
        endpoint.close()


def test_a_parent_is_not_ready_before_nvflare_listens_on_its_ports(endpoint: Endpoint) -> None:
    """NVFlare goes on if another process has taken the port for job processes, and every job would fail."""
    endpoint.view = Fixed()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        endpoint.identify(ParentIdentity("site-1", "client", ports=(port,)))
        status, answer = get(endpoint, "/readyz")
        assert status == 503
        assert (
            f"not listening on port {port} yet; if another process uses it, stop that process, or" in answer
        )
        listener.listen()
        assert get(endpoint, "/readyz")[0] == 200
