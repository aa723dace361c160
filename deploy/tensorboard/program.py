"""Start TensorBoard on the loopback interface; it has no authentication."""

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
    """Return the wanted port (default: 6006, or a free port).

    Raises:
        MachineError: the wanted port is in use.
    """
    if wanted is None:
        return TENSORBOARD_PORT if is_free(TENSORBOARD_PORT) else free_ports(1)[0]
    if not is_free(wanted):
        holder = holder_of(wanted)
        raise MachineError(
            f"Port {wanted} is in use{f' by {holder}' if holder else ''}. Choose another one with --port."
        )
    return wanted


@contextmanager
def tensorboard(folder: Path, port: int, title: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run TensorBoard on 127.0.0.1:`port` until the end of the block.

    Raises:
        MachineError: TensorBoard is not installed.
        Failed: TensorBoard did not start; the message contains the end of its output.
    """
    if find_spec("tensorboard") is None:
        raise MachineError("TensorBoard is not installed: pip install 'flarefleet[jobs]'")
    command = [
        *(sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1"),
        *("--port", str(port), "--reload_interval", str(RELOAD_SECONDS), "--window_title", title),
    ]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            if not _answers(process, port):
                output.seek(0)
                lines = output.read().decode(errors="replace").strip().splitlines()
                raise Failed("\n".join(["TensorBoard did not start:", *lines[-5:]]))
            yield process
        finally:
            _stop(process)


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2):
                return True
        except OSError:
            time.sleep(0.1)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
