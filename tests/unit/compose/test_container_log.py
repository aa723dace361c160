"""The end of a container's log."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from deploy.runtimes.docker.observation import tail

STARTED = datetime(2026, 11, 30, 19, 0, 5, tzinfo=timezone.utc).timestamp()


class Container:
    """A container that was started once or never."""

    def __init__(self, started: str) -> None:
        self.attrs = {"State": {"StartedAt": started}}

    def logs(self, *, tail: int, since: float | None) -> bytes:
        return f"{tail} lines\nsince {since}\n".encode()


@pytest.mark.parametrize(
    ("started", "since"),
    [("2026-11-30T19:00:05.123456789Z", STARTED), ("0001-01-01T00:00:00Z", None)],
)
def test_the_log_of_an_earlier_start_of_a_container_is_not_shown(started: str, since: float | None) -> None:
    container: Any = Container(started)

    assert tail(container) == ["50 lines", f"since {since}"]
