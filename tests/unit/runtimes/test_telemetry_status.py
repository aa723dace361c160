"""What the telemetry of running parents adds to a status, with a real endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from deploy.runtimes.protocol import FederationStatus, SiteState, SiteStatus
from deploy.runtimes.telemetry_status import as_server_sees, with_restarts
from fl_app.telemetry.endpoint import Endpoint
from fl_app.telemetry.metrics import View


class Server(View):
    """A server that misses north."""

    def away(self) -> Mapping[str, float]:
        """Return the sites without a heartbeat."""
        return {"north": 41.2}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint("127.0.0.1", 0)
    made.view = Server()
    yield made
    made.close()


def status_of(endpoint: Endpoint, north: SiteState) -> FederationStatus:
    url = f"http://127.0.0.1:{endpoint.port}"
    server = SiteStatus(name="flare-server", role="server", state=SiteState.READY, telemetry_url=url)
    sites = (
        SiteStatus(
            name="north", role="client", state=north, reason="" if north is SiteState.READY else "own"
        ),
        SiteStatus(name="south", role="client", state=SiteState.READY),
    )
    return FederationStatus(project="p", runtime="process", sites=(server, *sites))


def test_a_site_that_calls_itself_ready_is_not_ready_if_the_server_misses_it(endpoint: Endpoint) -> None:
    seen = as_server_sees(status_of(endpoint, SiteState.READY))

    states = {site.name: (site.state, site.reason) for site in seen.sites}
    assert states["north"] == (
        SiteState.NOT_READY,
        "the server has received no heartbeat of it for 41 s",
    )
    assert states["south"] == states["flare-server"] == (SiteState.READY, "")


def test_a_site_that_is_not_ready_keeps_its_own_reason(endpoint: Endpoint) -> None:
    seen = as_server_sees(status_of(endpoint, SiteState.STOPPED))
    assert [site.reason for site in seen.sites if site.name == "north"] == ["own"]


def test_without_an_answer_of_the_server_the_sites_speak_for_themselves(endpoint: Endpoint) -> None:
    status = status_of(endpoint, SiteState.READY)
    endpoint.close()
    assert as_server_sees(status) == with_restarts(status) == status


def test_restarts_inside_a_container_are_shown(endpoint: Endpoint) -> None:
    endpoint.restarts, endpoint.last_exit = 2, "was killed by signal 9 (SIGKILL)"
    server = with_restarts(status_of(endpoint, SiteState.READY)).sites[0]
    assert server.restart_note == "restarted 2 times, last: was killed by signal 9 (SIGKILL)"
