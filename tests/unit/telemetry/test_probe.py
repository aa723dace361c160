"""The probe of a container: exit status and reason."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

import pytest

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


@pytest.mark.parametrize("answered", [b"\r\n\r\n", b"HTTP/1.0 503 \xff\r\n\r\n\xff\xfe"])
def test_what_is_no_answer_of_a_parent_is_reported_without_a_traceback(answered: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_once() -> None:
            connection = server.accept()[0]
            with connection:
                connection.recv(1000)
                connection.sendall(answered)

        thread = threading.Thread(target=answer_once)
        thread.start()
        answer = probe(server.getsockname()[1])
        thread.join()

    assert answer.returncode == 1
    assert answer.stdout.startswith("its telemetry ")
    assert answer.stderr == ""


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
