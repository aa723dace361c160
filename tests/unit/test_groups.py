"""The groups of tests, and the order in which they start."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import conftest

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
        Item("kubernetes/test_up.py", "kubernetes"),
    ]
    config = SimpleNamespace(hook=SimpleNamespace(pytest_deselected=lambda items: None))

    conftest.pytest_collection_modifyitems(config, items)  # type: ignore[arg-type]

    assert [one.added for one in items] == [
        ["kubernetes"],
        ["docker"],
        ["tracked"],
        ["test_telemetry.py"],
        [],
    ]


@pytest.mark.parametrize("group", conftest.LONGEST_FIRST)
def test_the_longest_groups_exist(group: str) -> None:
    assert (TESTS / group).exists() or (TESTS / "federation" / group).exists()
