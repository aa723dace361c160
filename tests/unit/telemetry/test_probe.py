"""The probe of a container: exit status and reason."""

from __future__ import annotations

import subprocess
import sys

from deploy.ports import free_ports
from fl_app.telemetry.endpoint import Endpoint
from fl_app.telemetry.metrics import Starting


def probe(port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fl_app.telemetry.probe", *arguments],
        env={"FLARE_TELEMETRY_HOST": "0.0.0.0", "FLARE_TELEMETRY_PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_exit_status_and_the_reason_are_those_of_the_parent(endpoint: Endpoint) -> None:
    endpoint.view = Starting("waiting for flare-server")

    answer = probe(endpoint.port)

    assert (answer.returncode, answer.stdout) == (1, "waiting for flare-server\n")
    healthy = probe(endpoint.port, "healthz")
    assert (healthy.returncode, healthy.stdout) == (0, "healthy\n")
    assert "nvflare_telemetry_dropped_total" in probe(endpoint.port, "metrics").stdout


def test_a_parent_that_is_ready_says_so(endpoint: Endpoint) -> None:
    endpoint.view = Starting("")

    answer = probe(endpoint.port)

    assert (answer.returncode, answer.stdout) == (0, "ready\n")


def test_a_parent_that_does_not_answer_exits_1() -> None:
    answer = probe(free_ports(1)[0])

    assert answer.returncode == 1
    assert "does not answer" in answer.stdout


def test_it_imports_little_because_docker_starts_it_every_few_seconds(endpoint: Endpoint) -> None:
    program = (
        "import runpy, sys; before = set(sys.modules)\n"
        "try: runpy.run_module('fl_app.telemetry.probe', run_name='__main__')\nexcept SystemExit: pass\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"FLARE_TELEMETRY_HOST": "0.0.0.0", "FLARE_TELEMETRY_PORT": str(endpoint.port)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"email", "http", "importlib.metadata", "ssl"} & set(done.stdout.split())
