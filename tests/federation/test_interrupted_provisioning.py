"""A killed provisioning, at any step, and two at once: real processes, and nobody ever sees a half."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.provision import ensure_provisioned, provision
from tests.unit.provision.federation import ADMIN, SERVER, Federation, assert_valid

pytestmark = pytest.mark.federation

STEPS = ("os.rename", "os.mkdir", "os.link", "os.chmod", "os.remove", "os.rmdir", "ctypes.dlopen")
"""Audit events of what changes a file system; a folder is exchanged through ctypes."""
KILLS = 10


def in_a_child(work: Callable[[], object]) -> int:
    """Run it in a process of its own; its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def provision_until(federation: Federation, step: int | None, counted: Path) -> Callable[[], object]:
    """Provision, and kill oneself at that step; count the steps without one."""

    def work() -> None:
        taken = 0

        def audit(event: str, arguments: tuple) -> None:
            nonlocal taken
            writes = (
                event == "open"
                and isinstance(arguments[2], int)
                and arguments[2] & (os.O_WRONLY | os.O_CREAT)
            )
            if event in STEPS or writes:
                taken += 1
                if taken == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        project = federation.project
        sys.addaudithook(audit)
        provision(project, federation.workspace)
        counted.write_text(str(taken))

    return work


def assert_last_good_state(federation: Federation, names: set[str]) -> None:
    """Every kit that was there is there, and each is whole; the state can be read."""
    json.loads((federation.workspace.state / "cert.json").read_text())
    for name in names:
        assert_valid(federation.workspace.kit(name))


def assert_repaired(federation: Federation) -> None:
    federation.provision()
    ensure_provisioned(federation.project, federation.workspace)
    assert not federation.provision().changed
    assert not [path.name for path in federation.workspace.root.iterdir() if "staging" in path.name]
    for name in (SERVER, "site-1", "site-3", ADMIN):
        assert_valid(federation.workspace.kit(name))
        assert len(list((federation.workspace.kit(name) / "startup").glob("*.key"))) == 1


def test_a_kill_at_any_step_leaves_the_last_good_state_and_the_next_run_repairs(tmp_path: Path) -> None:
    before = Federation(tmp_path, "site-1", "site-2")
    before.provision()
    # A change of every sort: a new certificate and a new host for the server, a site less and one more.
    before.entry(SERVER)["default_host"] = "other.example.org"
    before.remove("site-2")
    before.add("site-3")
    whole_run = before.copy_to(tmp_path / "count")
    shutil.copytree(before.workspace.root, whole_run.workspace.root)
    assert in_a_child(provision_until(whole_run, None, tmp_path / "steps")) == 0
    steps = int((tmp_path / "steps").read_text())
    assert steps > 100

    for step in sorted(random.Random(3).sample(range(1, steps + 1), KILLS)):
        federation = before.copy_to(tmp_path / f"step-{step}")
        shutil.copytree(before.workspace.root, federation.workspace.root)

        assert in_a_child(provision_until(federation, step, tmp_path / "steps")) == -signal.SIGKILL

        assert_last_good_state(federation, {SERVER, "site-1", ADMIN})
        assert_repaired(federation)
        shutil.rmtree(federation.folder)


def test_a_first_run_that_was_killed_is_begun_again(tmp_path: Path) -> None:
    for step in (3, 40, 110):
        federation = Federation(tmp_path / str(step), "site-1", "site-3")
        federation.folder.mkdir()

        assert in_a_child(provision_until(federation, step, tmp_path / "steps")) == -signal.SIGKILL

        assert_repaired(federation)


def test_two_runs_at_once_leave_one_federation(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1", "site-3")
    project = federation.project
    children = []
    for _ in range(3):
        if (child := os.fork()) == 0:
            try:
                provision(project, federation.workspace)
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)

    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]

    assert not federation.provision().changed
    assert_repaired(federation)
