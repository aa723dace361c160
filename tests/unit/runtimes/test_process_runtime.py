"""The process runtime's records and specifications."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest

from deploy.errors import InputError
from deploy.ports import listen
from deploy.project import load_project
from deploy.runtimes.process import ProcessRuntime
from deploy.runtimes.process.run_folder import ENV_RUN_FOLDER, FederationSpec, ProcessRunFolder
from deploy.runtimes.protocol import SiteState, SiteStatus
from deploy.runtimes.records import ProcessRecord
from deploy.workspace import Workspace
from fl_app.contract import ENV_RESTART
from tests.federation.federation import SERVER, write_project

PARTICIPANTS = (SERVER, "site-1", "site-2")


def test_a_record_matches_its_process_and_no_later_process_of_that_id() -> None:
    created = psutil.Process().create_time()

    assert ProcessRecord(pid=os.getpid(), created=created).process() is not None
    assert ProcessRecord(pid=os.getpid(), created=created - 10).process() is None
    assert ProcessRecord(pid=os.getpid(), created=created, exit_code=0).process() is None


def test_a_zombie_is_not_running() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    record = ProcessRecord(pid=child.pid, created=psutil.Process(child.pid).create_time())
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert record.process() is None
    child.wait()


def test_an_invalid_specification_is_ignored(tmp_path: Path) -> None:
    folder = ProcessRunFolder(tmp_path / "run")
    folder.make()
    folder.write_spec(FederationSpec(project="clinics", server_address="localhost:8002", members=()))
    assert folder.spec() is not None

    (tmp_path / "run" / ".state" / "plan.json").write_text('{"project": ')

    assert folder.spec() is None


def test_processes_are_found_by_the_run_folder_in_their_environment(tmp_path: Path) -> None:
    ours, theirs = ProcessRunFolder(tmp_path / "ours"), ProcessRunFolder(tmp_path / "theirs")
    sleeper = [sys.executable, "-c", "print(flush=True); import time; time.sleep(60)"]
    with subprocess.Popen(sleeper, env={ENV_RUN_FOLDER: str(ours.root)}, stdout=subprocess.PIPE) as marked:
        assert marked.stdout is not None
        marked.stdout.readline()

        assert [process.pid for process in ours.processes()] == [marked.pid]
        assert theirs.processes() == []
        marked.kill()


@pytest.fixture
def runtime(tmp_path: Path) -> ProcessRuntime:
    """A federation of a server and two sites, with kits of one file."""
    workspace = Workspace(tmp_path / "workspace")
    for name in PARTICIPANTS:
        (workspace.kit(name) / "startup").mkdir(parents=True)
        (workspace.kit(name) / "startup" / "certificate").write_text(name)
    return ProcessRuntime(load_project(write_project(tmp_path, sites=2)), workspace)


def changed(before: FederationSpec, after: FederationSpec) -> list[str]:
    return [member.name for member in after.members if member not in before.members]


def test_a_changed_kit_changes_the_specification_of_its_site_only(runtime: ProcessRuntime) -> None:
    before = runtime._make_spec(None, {})
    assert changed(before, runtime._make_spec(before, PARTICIPANTS)) == []

    (runtime.workspace.kit("site-1") / "startup" / "certificate").write_text("renewed")
    (runtime.workspace.kit("site-2") / "local").mkdir()
    (runtime.workspace.kit("site-2") / "local" / "privacy.json").write_text("{}")

    assert changed(before, runtime._make_spec(before, PARTICIPANTS)) == ["site-1", "site-2"]


def test_a_new_port_changes_the_specification_of_sites(runtime: ProcessRuntime, tmp_path: Path) -> None:
    before = runtime._make_spec(None, {})
    runtime.project = load_project(write_project(tmp_path, sites=2))

    after = runtime._make_spec(before, PARTICIPANTS)

    assert changed(before, after) == ["site-1", "site-2"], "the server's port is in its kit"


def test_down_does_not_stop_a_process_that_reuses_a_process_id(runtime: ProcessRuntime) -> None:
    runtime.folder.make()
    runtime.folder.write_spec(runtime._make_spec(None, {}))
    with subprocess.Popen(["sleep", "60"]) as other:
        created = psutil.Process(other.pid).create_time()
        runtime.folder.write_record("site-1", ProcessRecord(pid=other.pid, created=created - 5))

        runtime.down()

        assert other.poll() is None
        other.kill()


def test_restarts_are_described() -> None:
    site = SiteStatus(name="site-1", role="client", state=SiteState.READY)
    once = {"restarts": 1, "last_exit": "was killed by signal 9"}

    assert site.restart_note == ""
    assert site.model_copy(update=once).restart_note == "restarted once, last: was killed by signal 9"
    assert site.model_copy(update={"restarts": 3}).restart_note == "restarted 3 times"


def test_no_restart_is_part_of_the_specification(runtime: ProcessRuntime) -> None:
    before = runtime._make_spec(None, {})
    runtime.restart = False

    after = runtime._make_spec(before, PARTICIPANTS)

    assert changed(before, after) == list(PARTICIPANTS)
    assert {member.environment[ENV_RESTART] for member in after.members} == {"false"}


def test_up_waits_for_the_port_of_a_server_that_was_just_killed(
    runtime: ProcessRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.folder.make()
    runtime.folder.write_spec(runtime._make_spec(None, {}))
    monkeypatch.setattr(runtime, "_start", Mock())
    monkeypatch.setattr("deploy.runtimes.process.runtime.wait_until_ready", Mock())
    holder = listen("", runtime.project.server.fed_learn_port)
    released = threading.Timer(0.5, holder.close)
    released.start()

    runtime.up()

    released.join()


def test_a_running_site_whose_port_another_process_has_taken_gets_another(
    runtime: ProcessRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = runtime._make_spec(None, {})
    runtime.folder.make()
    runtime.folder.write_spec(before)
    started, stopped = Mock(), Mock()
    monkeypatch.setattr(runtime, "_start", started)
    monkeypatch.setattr(runtime, "_stop", stopped)
    monkeypatch.setattr("deploy.runtimes.process.runtime.wait_until_ready", Mock())
    monkeypatch.setattr(ProcessRunFolder, "is_supervised", lambda self, name: True)
    with ExitStack() as processes:
        for member in before.members:
            site = processes.enter_context(subprocess.Popen(["sleep", "60"]))
            processes.callback(site.kill)
            created = psutil.Process(site.pid).create_time()
            runtime.folder.write_record(member.name, ProcessRecord(pid=site.pid, created=created))
        processes.enter_context(listen("", before.members[1].parent_port))

        runtime.up()

    after = runtime.folder.spec()
    assert after is not None
    assert changed(before, after) == ["site-1"]
    assert after.members[1].parent_port != before.members[1].parent_port
    stopped.assert_called_with({"site-1"})
    started.assert_called_once_with(["site-1"])


def test_up_searches_ports_for_those_that_have_none_only(
    runtime: ProcessRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = runtime._make_spec(None, {})
    search = Mock(return_value=[])
    monkeypatch.setattr("deploy.runtimes.process.runtime.free_ports", search)

    assert runtime._make_spec(before, PARTICIPANTS) == before

    assert search.call_args.args[0] == 0


def test_up_rejects_a_workspace_with_a_space_in_its_path(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path, sites=1))

    with pytest.raises(InputError, match=r"my folder.*path with spaces"):
        ProcessRuntime(project, Workspace(tmp_path / "my folder" / "clinics")).up()
