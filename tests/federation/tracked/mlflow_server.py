"""A real MLflow server that a test can start, stop and start again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

from deploy.checkout import TOOLS
from deploy.runtimes.ports import free_ports

PROGRAM = TOOLS / "mlflow" / "bin" / "mlflow"
START_SECONDS = 180.0


class MLflowServer:
    """On a port of its own, with its database in `folder`.

    Args:
        folder: kept over stop and start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it; see `wait`."""
        command = [
            *(PROGRAM, "server", "--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{self._folder / 'mlflow.db'}"),
            *("--default-artifact-root", str(self._folder / "artifacts")),
        ]
        with (self._folder / "mlflow.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            )

    def wait(self) -> None:
        """Return when it answers."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self._process is not None
            assert self._process.poll() is None, (self._folder / "mlflow.log").read_text()[-2000:]
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                    return
            except OSError:
                assert time.monotonic() < deadline, "MLflow does not answer"
                time.sleep(0.2)

    def stop(self) -> None:
        """End it and its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(30)
            self._process = None
