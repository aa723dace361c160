"""A real MLflow server that tests can stop and restart."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.request
from pathlib import Path

from deploy.checkout import TOOLS
from deploy.ports import free_ports
from tests.waiting import eventually

PROGRAM = TOOLS / "mlflow" / "bin" / "mlflow"
START_SECONDS = 180.0


class MLflowServer:
    """MLflow server on a free port.

    Args:
        folder: folder of its database, which survives a restart.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the server without waiting for it."""
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
        """Wait until the server answers."""
        eventually(self._answers, START_SECONDS, "MLflow answers", tolerating=[OSError])

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "mlflow.log").read_text()[-2000:]
        with urllib.request.urlopen(f"{self.url}/health", timeout=2):
            return True

    def stop(self) -> None:
        """Stop the server and its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(30)
            self._process = None
