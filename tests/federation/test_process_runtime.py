"""The common interface on every runtime, and the process runtime alone."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.errors import Failed, InputError, MachineError
from deploy.ports import free_ports
from deploy.runtimes.choice import remember
from deploy.runtimes.protocol import SiteState
from tests.bundles import assert_the_doctor_finds_no_error, bundle_of
from tests.federation.conftest import ON_DOCKER
from tests.federation.federation import ADMIN, SERVER, Federation
from tests.processes import is_running
from tests.waiting import eventually

pytestmark = pytest.mark.federation

ON_PROCESSES = pytest.mark.parametrize("shared_federation", ["process"], indirect=True)


def test_up_returns_when_the_server_and_every_site_are_ready(federation: Federation) -> None:
    status = federation.status()

    assert [(site.name, site.role, site.state) for site in status.sites] == [
        (SERVER, "server", SiteState.READY),
        ("site-1", "client", SiteState.READY),
        ("site-2", "client", SiteState.READY),
    ]


def test_a_second_up_changes_nothing(federation: Federation) -> None:
    before = federation.status(), federation.start_times()

    federation.up()

    assert (federation.status(), federation.start_times()) == before


def test_up_restarts_only_the_site_whose_kit_has_changed(federation: Federation) -> None:
    before = federation.start_times()
    site = "{name: site-1, type: client, org: %s}"

    federation.change(site % "clinics", site % "county")
    federation.up()

    after = federation.start_times()
    assert {name for name in after if after[name] != before[name]} == {"site-1"}


def test_up_applies_a_new_port_of_the_server(federation: Federation) -> None:
    port = free_ports(1)[0]
    federation.change(
        f"fed_learn_port: {federation.project.server.fed_learn_port}", f"fed_learn_port: {port}"
    )

    assert federation.up().is_ready

    kit = json.loads((federation.runtime.admin_kit(ADMIN) / "startup" / "fed_admin.json").read_text())
    with socket.create_connection((kit["admin"]["host"], kit["admin"]["port"]), timeout=5):
        pass
    assert federation.runtime_name == "kubernetes" or kit["admin"]["port"] == port


@pytest.mark.parametrize("shared_federation", [ON_DOCKER], indirect=True)
def test_a_killed_site_is_reported_with_its_exit_code_and_up_restarts_it(federation: Federation) -> None:
    others = [federation.site(name).where for name in (SERVER, "site-2")]
    federation.kill("site-1")

    eventually(lambda: federation.site("site-1").state is SiteState.EXITED, what="site-1 has exited")
    killed = federation.site("site-1")
    assert (killed.exit_code, killed.reason) == (137, "killed by signal 9")
    assert federation.site("site-2").state is SiteState.READY

    federation.up()

    assert federation.site("site-1").state is SiteState.READY
    assert [federation.site(name).where for name in (SERVER, "site-2")] == others


def test_one_site_is_stopped_and_started_while_the_others_run(federation: Federation) -> None:
    others = [federation.site(name).where for name in (SERVER, "site-2")]
    on = ("--runtime", federation.runtime_name)

    federation.run("down", "site-1", *on)

    assert federation.site("site-1").state is SiteState.STOPPED
    started = federation.run("up", "site-1", *on)
    assert "site-1 of" in started.stderr
    assert federation.status().is_ready
    assert [federation.site(name).where for name in (SERVER, "site-2")] == others
    last = federation.run("logs", "site-1", "--tail", "1", "--since", "600", *on).stdout
    assert len(last.splitlines()) == 1


def test_the_server_and_each_site_have_a_log(federation: Federation) -> None:
    assert any("Server started" in line for line in federation.runtime.logs(SERVER))
    assert any("Successfully registered client:site-1" in line for line in federation.runtime.logs("site-1"))


def test_the_doctor_and_the_bundle_see_the_federation(federation: Federation, tmp_path: Path) -> None:
    remember(federation.workspace, federation.runtime_name)  # as `flarefleet up` does
    assert_the_doctor_finds_no_error(federation)

    files = bundle_of(federation, tmp_path / "bundle.tar.gz")

    assert "jobs.json" in files
    log = "logs/site-1-0-parent.txt" if federation.runtime_name == "kubernetes" else "logs/site-1.txt"
    assert "Successfully registered client" in files[log]
    if federation.runtime_name == "docker":
        assert {one["state"]["Status"] for one in json.loads(files["containers.json"])} == {"running"}
    if federation.runtime_name == "kubernetes":
        (pod,) = json.loads(files["pods/site-1.json"])
        assert pod["status"]["phase"] == "Running"
        events = json.loads(files["events/site-1.json"])
        assert any(event["object"] == "Pod/site-1-0" for event in events)
    kit = str(federation.runtime.admin_kit(ADMIN))
    own = bundle_of(federation, tmp_path / "admin.tar.gz", "--admin-kit", kit)
    assert "site-1" in json.loads(own["status.json"])["heartbeats"]
    assert "jobs.json" in own
    assert own["logs/session.txt"]
    if federation.runtime_name != "process":
        release = str(federation.workspace.release / "site-1")
        site = bundle_of(federation, tmp_path / "site.tar.gz", "--release", release)
        assert any(name.startswith("logs/") and "site-1" in name for name in site)


def test_the_log_of_an_unknown_site_is_rejected_with_the_available_names(federation: Federation) -> None:
    with pytest.raises(InputError, match="no server or site site-9; available: flare-server, site-1, site-2"):
        federation.runtime.logs("site-9")


@ON_PROCESSES
def test_following_a_log_ends_when_the_site_exits(federation: Federation) -> None:
    with federation.start("logs", "site-1", "-f") as follower:
        assert follower.stdout.readline()

        federation.lose("site-1")

        assert "Successfully registered" in follower.stdout.read()
        assert follower.wait(20) == 0


def test_the_command_line_reports_the_status(new_federation: Callable[..., Federation]) -> None:
    federation = new_federation()
    assert federation.flarefleet("status").returncode == 1

    up = federation.run("up")
    assert "site-1: ready" in up.stderr

    found = federation.flarefleet("status", "--json")
    assert found.returncode == 0
    assert json.loads(found.stdout)["ready"] is True
    assert federation.flarefleet("up", "--runtime", "kubernetes").returncode in (2, 3)

    assert federation.flarefleet("down").returncode == 0
    stopped = json.loads(federation.flarefleet("status", "--json").stdout)
    assert {site["state"] for site in stopped["sites"]} == {"stopped"}


def test_a_used_port_is_rejected_with_its_process_before_anything_starts(
    new_federation: Callable[..., Federation],
) -> None:
    port = free_ports(1)[0]
    federation = new_federation(port=port)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()

        with pytest.raises(MachineError, match=rf"port {port} .*process {os.getpid()}\) uses it"):
            federation.up()

        refused = federation.flarefleet("up")

    assert refused.returncode == 3
    assert str(port) in refused.stderr
    assert federation.run_folder.processes() == []


@ON_PROCESSES
def test_down_stops_one_of_two_federations_also_sites_whose_supervisor_was_killed(
    federation: Federation, new_federation: Callable[..., Federation]
) -> None:
    other = new_federation()
    other.up()
    processes = other.run_folder.processes()
    (supervisor,) = (one for one in processes if "deploy.runtimes.process.supervisor" in one.cmdline())
    supervisor.kill()
    assert other.status().is_ready, "sites do not depend on the supervisor"

    other.down()

    assert other.run_folder.processes() == []
    assert federation.status().is_ready


def test_a_site_that_cannot_start_is_reported_with_its_reason_and_the_others_keep_running(
    new_federation: Callable[..., Federation],
) -> None:
    federation = new_federation(sites=2)
    federation.up()
    federation.down()
    key = federation.kit("site-2") / "startup" / "client.key"
    original = key.read_bytes()
    key.write_bytes((federation.kit("site-1") / "startup" / "client.key").read_bytes())

    with pytest.raises((Failed, InputError), match="site-2") as failure:
        federation.up()

    if isinstance(failure.value, Failed):
        assert "private key" in str(failure.value)
        assert "exit code 13" in str(failure.value)
        assert federation.site("site-2").exit_code == 13
    key.write_bytes(original)
    federation.up()
    assert federation.status().is_ready


def test_down_stops_all_processes_of_a_killed_up(new_federation: Callable[..., Federation]) -> None:
    federation = new_federation(sites=2)
    command = federation.start("up")
    eventually(lambda: federation.run_folder.record(SERVER), what="up has started the server")
    command.kill()
    command.communicate()
    assert federation.run_folder.processes()

    assert federation.flarefleet("down").returncode == 0

    assert federation.run_folder.processes() == []


def test_a_second_command_at_the_same_time_is_rejected(new_federation: Callable[..., Federation]) -> None:
    federation = new_federation()
    with federation.run_folder.lock(), pytest.raises(Failed, match="wait for it"):
        federation.up()


def test_an_interrupted_up_keeps_the_federation_running(new_federation: Callable[..., Federation]) -> None:
    federation = new_federation()
    command = federation.start("up")
    eventually(lambda: federation.run_folder.record(SERVER), what="up has started the server")

    os.killpg(command.pid, signal.SIGINT)  # Ctrl-C in a terminal

    assert command.communicate(timeout=20)[1].count("Traceback") == 0
    assert command.returncode == 130
    eventually(lambda: federation.site(SERVER).state is SiteState.READY, what="the server keeps running")


def test_job_processes_exit_with_their_parent(new_federation: Callable[..., Federation]) -> None:
    federation = new_federation(sites=2)
    federation.up()
    federation.submit("fibonacci", rounds=1000)
    names = (SERVER, "site-1", "site-2")
    eventually(
        lambda: all(federation.job_processes(name) for name in names), 60, "the job is running everywhere"
    )
    jobs = [process for name in names for process in federation.parent(name).children(recursive=True)]

    federation.parent("site-1").kill()
    federation.supervisor("site-2").kill()
    parent, supervisor = federation.parent(SERVER), federation.supervisor(SERVER)
    supervisor.suspend()  # so that it cannot stop the job processes
    parent.kill()
    supervisor.kill()

    eventually(lambda: not any(map(is_running, jobs)), 20, "no job process is left")
