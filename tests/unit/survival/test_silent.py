"""Which sites are logged out, and whose report a job does not wait for."""

from __future__ import annotations

from nvflare.apis.client import ClientPropKey

from fl_app.nvflare_internals.server_jobs import ServerJobs
from fl_app.survival.limits import LATE_SECONDS, LOGGED_OUT_SECONDS
from fl_app.survival.liveness import liveness_of
from fl_app.survival.silent import SilentSites
from tests.unit.survival.server import Clock, Server


def run(silent: SilentSites, clock: Clock, server: Server, seconds: int, *sites: str) -> None:
    """Let time pass while these sites send heartbeats."""
    for _ in range(seconds):
        clock.now += 1
        for client in server.get_clients():
            if client.name in sites:
                client.last_connect_time = clock.now
        silent.check()


def registered(server: Server, clock: Clock, *sites: str) -> None:
    for site in sites:
        server.register(site, f"token-{site}").last_connect_time = clock.now


def test_a_silent_site_is_logged_out_and_the_job_says_so(server: Server, clock: Clock) -> None:
    registered(server, clock, "north", "south")
    job_id = server.submit()
    server.run(job_id, *server.get_clients())
    silent = SilentSites(server, clock)

    run(silent, clock, server, int(LOGGED_OUT_SECONDS), "south")
    assert len(server.get_clients()) == 2
    run(silent, clock, server, 2, "south")

    assert [client.name for client in server.get_clients()] == ["south"]
    assert server.history(job_id) == ["silent north: no heartbeat for 36 s; logged out until it comes back"]


def test_a_site_that_comes_back_has_its_organization_and_configuration_again(
    server: Server, clock: Clock
) -> None:
    registered(server, clock, "north")
    (north,) = server.get_clients()
    north.set_prop(ClientPropKey.ORG, "hospital")
    north.set_site_config({"gpus": 2})
    run(SilentSites(server, clock), clock, server, 60)
    assert server.get_clients() == []

    heartbeat(server, "token-north", "north.new")

    (north,) = server.get_clients()
    assert north.get_prop(ClientPropKey.ORG) == "hospital"
    assert north.get_site_config() == {"gpus": 2}
    assert north.get_fqcn() == "north.new"


def test_another_registration_does_not_get_the_properties_of_a_logged_out_site(
    server: Server, clock: Clock
) -> None:
    registered(server, clock, "north")
    server.get_clients()[0].set_prop(ClientPropKey.ORG, "hospital")
    run(SilentSites(server, clock), clock, server, 60)

    heartbeat(server, "another", "north")

    assert server.get_clients()[0].get_prop(ClientPropKey.ORG) is None


def heartbeat(server: Server, token: str, fqcn: str) -> None:
    """Let NVFlare receive a heartbeat of north."""
    with server.new_context() as fl_ctx:
        assert server.client_manager.heartbeat(token, "north", fqcn, fl_ctx)


def test_the_job_keeps_its_silent_participant(server: Server, clock: Clock) -> None:
    registered(server, clock, "north")
    job_id = server.submit()
    server.run(job_id, *server.get_clients())

    run(SilentSites(server, clock), clock, server, 60)

    assert ServerJobs(server).sites(job_id) == {"north"}
    assert ServerJobs(server).awaits_outcome(job_id, "north")


def test_no_site_is_logged_out_because_the_server_itself_was_suspended(server: Server, clock: Clock) -> None:
    registered(server, clock, "north", "south")
    silent = SilentSites(server, clock)
    run(silent, clock, server, 5, "north", "south")

    clock.now += 300
    run(silent, clock, server, 10, "north")
    assert len(server.get_clients()) == 2
    run(silent, clock, server, 30, "north")

    assert [client.name for client in server.get_clients()] == ["north"]


def test_a_job_that_has_ended_does_not_wait_for_a_lost_site(server: Server, clock: Clock) -> None:
    registered(server, clock, "north", "south")
    job_id = server.submit()
    server.run(job_id, *server.get_clients())
    liveness_of(server).heartbeat("north", [job_id])
    server.client_manager.remove_client("token-north")
    silent = SilentSites(server, clock)
    silent.check()
    assert ServerJobs(server).awaits_outcome(job_id, "north")  # the job is running

    server.run_processes.clear()
    silent.check()

    assert not ServerJobs(server).awaits_outcome(job_id, "north")
    assert ServerJobs(server).awaits_outcome(job_id, "south")


def test_a_job_that_has_ended_waits_for_a_live_site_only_while_it_runs_the_job(
    server: Server, clock: Clock
) -> None:
    """Its process was killed before it could report its end: NVFlare waits 900 s."""
    registered(server, clock, "north", "south")
    job_id = server.submit()
    server.run(job_id, *server.get_clients())
    server.run_processes.clear()
    silent, liveness = SilentSites(server, clock), liveness_of(server)
    liveness.heartbeat("south", [job_id])

    run(silent, clock, server, int(LATE_SECONDS), "north", "south")
    assert ServerJobs(server).awaited() == {job_id: {"north", "south"}}
    run(silent, clock, server, 3, "north", "south")
    assert ServerJobs(server).awaited() == {job_id: {"south"}}

    liveness.heartbeat("south", [])
    run(silent, clock, server, int(LATE_SECONDS) + 3, "north", "south")
    assert ServerJobs(server).awaited() == {}
