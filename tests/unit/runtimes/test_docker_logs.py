"""The logs of a container since a time, as Docker's client accepts it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import docker
import pytest
import requests

from deploy.runtimes.docker.runtime import DockerRuntime
from deploy.runtimes.protocol import LogPart

CLIENT = docker.APIClient("tcp://127.0.0.1:1", version="1.41")
"""A client that checks arguments and reaches no engine."""


def logs_of_container(**options: Any) -> Iterator[bytes]:
    with pytest.raises(requests.ConnectionError):
        CLIENT.logs("site-1", **options)
    return iter(())


@pytest.mark.parametrize("since", [datetime(1960, 1, 1), datetime(1970, 1, 1), datetime(2026, 1, 1), None])
def test_a_time_before_1970_asks_for_the_whole_log(
    monkeypatch: pytest.MonkeyPatch, since: datetime | None
) -> None:
    runtime: Any = object.__new__(DockerRuntime)
    monkeypatch.setattr(
        runtime, "_container", lambda _: SimpleNamespace(logs=logs_of_container), raising=False
    )
    part = LogPart(since=since and since.replace(tzinfo=timezone.utc))

    assert list(runtime.logs("site-1", part=part)) == []
