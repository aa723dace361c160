"""The groups of tests, and the order in which they start."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from filelock import FileLock

from tests import conftest
from tests.kubernetes import ownership

TESTS = Path(conftest.__file__).parent


class Item:
    """A collected test, whose group is in `added`."""

    def __init__(self, path: str, *marks: str) -> None:
        self.path, self.added = TESTS / path, list[str]()
        self.get_closest_marker = marks.__contains__

    def add_marker(self, mark: pytest.MarkDecorator) -> None:
        self.added.append(mark.args[0])


def test_the_longest_groups_start_first_and_the_tests_without_a_group_last() -> None:
    items = [
        Item("unit/test_a.py"),
        Item("federation/test_telemetry.py", "federation"),
        Item("federation/tracked/test_live.py", "federation"),
        Item("federation/test_telemetry.py", "federation", "docker"),
        Item("kubernetes/monitored/test_tensorboard.py", "kubernetes"),
        Item("kubernetes/test_up.py", "kubernetes"),
    ]
    config = SimpleNamespace(hook=SimpleNamespace(pytest_deselected=lambda items: None))

    conftest.pytest_collection_modifyitems(config, items)  # type: ignore[arg-type]

    assert [one.added for one in items] == [
        ["kubernetes"],
        ["kubernetes/job_pods"],
        ["docker"],
        ["tracked"],
        ["test_telemetry.py"],
        [],
    ]


@pytest.mark.parametrize("group", conftest.LONGEST_FIRST)
def test_the_longest_groups_exist(group: str) -> None:
    assert (TESTS / group).exists() or (TESTS / "federation" / group).exists()


def test_the_cluster_of_a_run_is_deleted_after_its_last_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, owner, lock = list[str](), tmp_path / "owner", FileLock(tmp_path / "lock")
    monkeypatch.setattr(ownership, "is_up", running.__contains__)
    monkeypatch.setattr(ownership, "take_down", running.remove)

    def release(run: str, group: str) -> None:
        ownership.release(run, group, ["one", "two"], lock, owner)

    ownership.claim("killed", owner)
    running.append(ownership.CONTEXT)
    release("killed", "one")
    ownership.claim("run", owner)
    ownership.claim("run", owner)  # by the second worker
    for run, group in (("killed", "two"), ("run", "two"), ("run", "two")):
        release(run, group)
        assert running
    release("run", "one")
    assert not running

    running.append(ownership.CONTEXT)
    ownership.claim("run", owner)
    for group in ("one", "two"):
        release("run", group)
    assert running, "the cluster was there before the run"


def test_a_run_does_not_take_the_cluster_of_a_run_that_is_still_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, ended = tmp_path / "owner", max(psutil.pids()) + 1
    monkeypatch.setattr(ownership, "is_up", lambda name: True)

    owner.write_text(f"alive:{os.getpid()}\none")
    ownership.claim("second:1", owner)
    assert owner.read_text().split() == [f"alive:{os.getpid()}", "one"]

    owner.write_text(f"killed:{ended}\none")
    ownership.claim("second:1", owner)
    assert owner.read_text() == "second:1"
