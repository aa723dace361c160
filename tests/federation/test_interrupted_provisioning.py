"""Provisioning that is killed at any step, and several runs at the same time, in real processes."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.federation_files import make_kits_and_releases
from deploy.provision import ensure_provisioned
from tests.unit.provision.federation import ADMIN, SERVER, Federation, assert_valid

pytestmark = pytest.mark.federation

STEPS = ("os.rename", "os.mkdir", "os.link", "os.chmod", "os.remove", "os.rmdir", "ctypes.dlopen")
"""Audit events of changes to the file system. Folders are exchanged through ctypes."""
KILLS = 10


def in_children(*works: Callable[[], object]) -> list[int]:
    """Run each function in its own child process; return their exit statuses, negative for a signal."""
    children = []
    for work in works:
        if (child := os.fork()) == 0:
            try:
                work()
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def provision_until(federation: Federation, step: int | None, counted: Path) -> Callable[[], object]:
    """Return a function that provisions and kills its process at a step, or counts the steps."""

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
        make_kits_and_releases(project, federation.workspace)
        counted.write_text(str(taken))

    return work


def assert_last_good_state(federation: Federation, names: set[str]) -> None:
    """Assert that every kit exists and is valid, and that the state can be read."""
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


def test_a_kill_at_any_step_leaves_the_last_good_state_and_the_next_run_repairs_it(tmp_path: Path) -> None:
    before = Federation(tmp_path, "site-1", "site-2")
    before.provision()
    # Every kind of change: a new certificate and host name of the server, a removed site and a new one.
    before.entry(SERVER)["default_host"] = "other.example.org"
    before.remove("site-2")
    before.add("site-3")
    whole_run = before.copy_to(tmp_path / "count")
    shutil.copytree(before.workspace.root, whole_run.workspace.root)
    assert in_children(provision_until(whole_run, None, tmp_path / "steps")) == [0]
    steps = int((tmp_path / "steps").read_text())
    assert steps > 100

    for step in sorted(random.Random(3).sample(range(1, steps + 1), KILLS)):
        federation = before.copy_to(tmp_path / f"step-{step}")
        shutil.copytree(before.workspace.root, federation.workspace.root)

        assert in_children(provision_until(federation, step, tmp_path / "steps")) == [-signal.SIGKILL]

        assert_last_good_state(federation, {SERVER, "site-1", ADMIN})
        assert_repaired(federation)
        shutil.rmtree(federation.folder)


def test_a_killed_first_run_is_repeated(tmp_path: Path) -> None:
    for step in (3, 40, 110):
        federation = Federation(tmp_path / str(step), "site-1", "site-3")
        federation.folder.mkdir()

        assert in_children(provision_until(federation, step, tmp_path / "steps")) == [-signal.SIGKILL]

        assert_repaired(federation)


def test_runs_at_the_same_time_make_one_federation(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "site-1", "site-3")
    project = federation.project

    run = functools.partial(make_kits_and_releases, project, federation.workspace)
    assert in_children(run, run, run) == [0, 0, 0]

    assert not federation.provision().changed
    assert_repaired(federation)
