"""The program TensorBoard, on this machine's loopback interface alone: it asks nobody for a password."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from deploy.errors import Failed, MachineError
from deploy.runtimes.ports import free_ports, holder_of, is_free
from fl_app.contract import TENSORBOARD_PORT

START_SECONDS = 60.0
RELOAD_SECONDS = 2
STOP_SECONDS = 5.0


def choose_port(wanted: int | None) -> int:
    """The wanted port, or else the usual one, or else one that is free.

    Raises:
        MachineError: the wanted one is taken.
    """
    if wanted is None:
        return TENSORBOARD_PORT if is_free(TENSORBOARD_PORT) else free_ports(1)[0]
    if not is_free(wanted):
        holder = holder_of(wanted)
        raise MachineError(
            f"Port {wanted} is taken{f' by {holder}' if holder else ''}: choose another --port."
        )
    return wanted


@contextmanager
def tensorboard(folder: Path, port: int, title: str) -> Iterator[subprocess.Popen[bytes]]:
    """TensorBoard on `folder`, answering on 127.0.0.1:`port`; it ends with the block.

    Raises:
        MachineError: it is not installed.
        Failed: it does not start; with the end of what it says.
    """
    if find_spec("tensorboard") is None:
        raise MachineError("TensorBoard is not installed: pip install 'flarefleet[jobs]'")
    command = [
        *(sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1"),
        *("--port", str(port), "--reload_interval", str(RELOAD_SECONDS), "--window_title", title),
    ]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            if not _answers(process, port):
                said.seek(0)
                lines = said.read().decode(errors="replace").strip().splitlines()
                raise Failed("\n".join(["TensorBoard does not start:", *lines[-5:]]))
            yield process
        finally:
            _end(process)


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2):
                return True
        except OSError:
            time.sleep(0.1)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
