"""The probe of a container: the answer as an exit code, the reason in words."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from fl_app.telemetry.endpoint import Endpoint
from fl_app.telemetry.view import Starting


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint("127.0.0.1", 0)
    yield endpoint
    endpoint.close()


def probe(port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fl_app.telemetry.probe", *arguments],
        env={"FLARE_TELEMETRY_HOST": "0.0.0.0", "FLARE_TELEMETRY_PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_not_ready_with_the_reason(endpoint: Endpoint) -> None:
    endpoint.view = Starting("it waits for flare-server")

    answer = probe(endpoint.port)

    assert (answer.returncode, answer.stdout) == (1, "it waits for flare-server\n")


def test_healthy(endpoint: Endpoint) -> None:
    assert probe(endpoint.port, "healthz").returncode == 0


def test_nobody_there(endpoint: Endpoint) -> None:
    port = endpoint.port
    endpoint.close()

    answer = probe(port)

    assert answer.returncode == 1
    assert "does not answer" in answer.stdout
