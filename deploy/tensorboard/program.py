"""Start TensorBoard on the loopback interface; it has no authentication."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from deploy.errors import MachineError
from deploy.hosts import LOOPBACK
from deploy.ports import free_ports, is_free
from deploy.programs import Command, RunningProgram, refuse_port_in_use
from fl_app.contract import TENSORBOARD_PORT

RELOAD_SECONDS = 2


def choose_port(wanted: int | None) -> int:
    """Return the wanted port (default: 6006, or a free port).

    Raises:
        MachineError: the wanted port is in use.
    """
    if wanted is None:
        return TENSORBOARD_PORT if is_free(TENSORBOARD_PORT) else free_ports(1)[0]
    refuse_port_in_use(wanted, "TensorBoard", "--port")
    return wanted


@contextmanager
def tensorboard(folder: Path, port: int, title: str, log: Path) -> Iterator[RunningProgram]:
    """Run TensorBoard until the end of the block.

    Raises:
        MachineError: TensorBoard is not installed.
        Failed: TensorBoard did not start; the message contains the end of its log.
    """
    if find_spec("tensorboard") is None:
        raise MachineError("TensorBoard is not installed: pip install tensorboard")
    arguments = [
        *(sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", LOOPBACK),
        *("--port", str(port), "--reload_interval", str(RELOAD_SECONDS), "--window_title", title),
    ]
    program = RunningProgram(Command("TensorBoard", arguments, port, ready="/"), log)
    try:
        program.wait_until_ready()
        yield program
    finally:
        program.stop()
