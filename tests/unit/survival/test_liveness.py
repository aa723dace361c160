"""The owner of liveness in the server's parent."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fl_app.survival.liveness import Liveness, liveness_of

NORTH, SOUTH, JOB = "north", "south", "a-job"


class Server:
    """NVFlare's list of registered sites, and a clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.contacts = {NORTH: 1000.0, SOUTH: 1000.0}
        self.liveness = Liveness(lambda: self.contacts, lambda: self.now)


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_site_without_a_heartbeat_for_35_seconds_is_late(server: Server) -> None:
    server.now = 1030
    server.liveness.heartbeat(NORTH, ())
    server.now = 1036
    assert server.liveness.late() == {SOUTH: 1000.0}
    assert server.liveness.present() == {NORTH}


def test_a_site_that_was_logged_out_is_remembered_with_its_last_sign_of_life(server: Server) -> None:
    server.liveness.last_signs()
    del server.contacts[SOUTH]
    assert server.liveness.present() == {NORTH}
    server.now = 1100
    assert server.liveness.last_signs()[SOUTH] == 1000.0
    assert SOUTH in server.liveness.late()
    server.contacts[SOUTH] = 1099.0
    assert SOUTH not in server.liveness.late()


def test_a_parent_vouches_for_the_jobs_that_its_heartbeats_list(server: Server) -> None:
    server.liveness.heartbeat(NORTH, {JOB, "another"})
    server.liveness.heartbeat(SOUTH, {"another"})
    server.now = 1004
    assert server.liveness.vouched(JOB, {NORTH, SOUTH, "west"}) == {NORTH: 4.0}


def test_a_parent_whose_job_process_ended_vouches_no_longer(server: Server) -> None:
    server.liveness.heartbeat(NORTH, {JOB})
    server.liveness.heartbeat(NORTH, ())
    assert server.liveness.vouched(JOB, {NORTH}) == {}


def test_every_part_of_a_parent_asks_the_same_owner() -> None:
    client = SimpleNamespace(name=NORTH, last_connect_time=1.0)
    engine = type("Engine", (), {"get_clients": lambda self: [client]})()
    assert liveness_of(engine) is liveness_of(engine)
    assert liveness_of(engine).last_signs() == {NORTH: 1.0}
