"""The template of a parent's job processes: a process with one thread that has imported what jobs import.

    python -m fl_app.launchers.template FD ROLE PADDING

FD is one end of a SOCK_SEQPACKET pair; only the parent has the other end. A message on it is a `Request`,
with the descriptor of a connection for this job. The template refuses what a fork would run differently from
a new Python process. Otherwise it forks the job process, which then runs as `python -m PROGRAM ARGUMENTS`:

    template -> parent      {"pid": PID}, or {"refused": REASON}
    parent -> template      "adopt": the parent is a child subreaper now
    job process -> parent   "adopted": it is the parent's own child, as a process that the parent starts
    parent -> job process   "start"

`multiprocessing`'s forkserver is not used: it listens on a path in the file system, its children stay its own
(their exit status is lost with it), they keep its environment, and it does not check for threads.

The template ends when the parent's end of the pair closes. Job processes do not depend on it.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import json
import os
import runpy
import select
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from nvflare.apis.job_launcher_spec import JobProcessEnv

from fl_app.contract import ENV_JOB_PROCESS, ENV_PARENT_PID, ENV_PUSH_TOKEN, ENV_PUSH_URL
from fl_app.garbage_collection import paused_for_imports
from fl_app.nvflare_internals.job_process_state import renew_stream_ids
from fl_app.nvflare_internals.main_programs import load_job_process

MAX_MESSAGE = 1 << 20
PADDING = " " * 4000
"""Reserves memory for the command line that `ps` shows for a job process."""
ADOPT, ADOPTED, START = b"adopt", b"adopted", b"start"

_TORCH_DELAY_SECONDS = 10.0
"""Age at which the template also imports torch. A federation that stops before does not pay for it."""
_OWN_VARIABLES = {
    JobProcessEnv.AUTH_TOKEN,
    JobProcessEnv.TOKEN_SIGNATURE,
    JobProcessEnv.SSID,
    ENV_JOB_PROCESS,
    ENV_PARENT_PID,
    ENV_PUSH_TOKEN,
    ENV_PUSH_URL,
    "PYTHONPATH",
}
"""Variables that differ between jobs. Any other is read once: by the C library, Python, OpenMP or CUDA."""
_IMPORTED_AT_START = {"sitecustomize", "usercustomize"}
"""Modules that a new Python process imports by itself, if they exist."""
_PRELOADED = (
    "fl_app.guard.component",
    "fl_app.guard.server",
    "fl_app.launchers.entry_point",
    "fl_app.launchers.pending_pods",
    "fl_app.launchers.process",
    "fl_app.telemetry.job",
    "fl_app.tracking.job",
    "numpy",
    "nvflare.app_common.decomposers.numpy_decomposers",
    "nvflare.app_common.executors.client_api_executor",
    "nvflare.app_common.logging.job_log_streamer",
    "nvflare.app_common.logging.site_log_streamer",
    "nvflare.client",
    "nvflare.fuel.f3.drivers.aio_grpc_driver",
    "nvflare.fuel.f3.drivers.aio_http_driver",
    "nvflare.fuel.f3.drivers.aio_tcp_driver",
)
"""What most job processes import, beside NVFlare's own program."""
_PRELOADED_LATER = ("torch", "torch._dynamo", "nvflare.app_opt.pt.decomposers")
"""The first optimizer of a process imports the second."""


@dataclass(frozen=True)
class Request:
    """A job process as the parent would start it."""

    command: list[str]
    """[sys.executable, "-m", PROGRAM, ARGUMENTS...]."""
    environment: dict[str, str]
    folder: str
    """Working directory."""

    def encode(self) -> bytes:
        """Return the message for the template."""
        return json.dumps(asdict(self)).encode()


def main() -> None:
    """Serve requests until the parent closes its end; in a job process, run the job."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    environment = dict(os.environ)  # imports may change it
    with paused_for_imports():
        load_job_process("server" if sys.argv[2] == "server" else "client")
    _import(_PRELOADED)
    if (request := _serve(control, environment)) is not None:
        runpy.run_module(request.command[2], run_name="__main__", alter_sys=True)


def _serve(control: socket.socket, environment: Mapping[str, str]) -> Request | None:
    """Fork a job process for each request. Return None at the end, and the request in the job process."""
    torch_time: float | None = time.monotonic() + _TORCH_DELAY_SECONDS
    while True:
        if torch_time is not None:
            timeout = max(0.0, torch_time - time.monotonic())
            if not select.select([control], [], [], timeout)[0]:
                _import(name for name in _PRELOADED_LATER if importlib.util.find_spec("torch"))
                torch_time = None
        message, descriptors, _, _ = socket.recv_fds(control, MAX_MESSAGE, 1, socket.MSG_CMSG_CLOEXEC)
        if not message:
            return None
        request = Request(**json.loads(message))
        with socket.socket(fileno=descriptors[0]) as connection:
            if reason := refusal(request, environment):
                with contextlib.suppress(OSError):  # the parent no longer waits
                    connection.send(json.dumps({"refused": reason}).encode())
            elif _fork(request, connection):
                control.close()
                return request


def refusal(request: Request, environment: Mapping[str, str]) -> str | None:
    """Return why a job needs a new Python process instead of a fork of this one; None if it does not.

    Args:
        request: job process to start.
        environment: environment with which this process was started.
    """
    if (threads := len(list(Path("/proc/self/task").iterdir()))) != 1:
        return f"the template has {threads} threads"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "the template has initialized CUDA"
    new, old = request.environment, environment
    changed = {name for name in {*new, *old} if new.get(name) != old.get(name)} - _OWN_VARIABLES
    if changed:
        return f"its environment differs from the template's: {', '.join(sorted(changed))}"
    folders = _python_path(new, request.folder)
    if not set(_python_path(old, request.folder)) <= set(folders):
        return "its PYTHONPATH lacks a folder of the template's"
    loaded = {name.partition(".")[0] for name in list(sys.modules)} | _IMPORTED_AT_START
    for folder in [one for one in folders if one not in sys.path]:
        if names := sorted(loaded & set(_modules(Path(folder)))):
            return f"modules in {folder} have names of loaded modules: {', '.join(names)}"
    return None


def _python_path(environment: Mapping[str, str], folder: str) -> list[str]:
    entries = environment.get("PYTHONPATH", "")
    return [os.path.normpath(Path(folder, one)) for one in entries.split(os.pathsep)] if entries else []


def _modules(folder: Path) -> Iterable[str]:
    with contextlib.suppress(OSError):
        yield from (one.name.partition(".")[0] for one in folder.iterdir())


def _fork(request: Request, connection: socket.socket) -> bool:
    """Fork a job process, and return whether this is it.

    A process between the template and the job process exits, so that the parent adopts the job process. If a
    step fails, the connection closes and the parent starts a new Python process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return False
    try:
        between = os.getpid()
        if job := os.fork():
            connection.send(json.dumps({"pid": job}).encode())
            connection.recv(len(ADOPT))
            os._exit(0)
        os.setsid()
        _become(request)
        while os.getppid() == between:
            time.sleep(0.001)
        connection.send(ADOPTED)
        if connection.recv(len(START)) == START:
            return True
    except OSError as error:
        print(f"template of job processes: {error}", file=sys.stderr, flush=True)
    os._exit(1)


def _become(request: Request) -> None:
    """Replace the state of the template that a new Python process would not have."""
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    first = [] if sys.flags.safe_path else [request.folder]
    rest = sys.path[len(first) :]
    sys.path[:] = [*first, *dict.fromkeys([*_python_path(request.environment, request.folder), *rest])]
    importlib.invalidate_caches()
    sys.argv = ["-m", *request.command[3:]]
    sys.orig_argv = list(request.command)
    show_command(request.command)
    seed_generators()
    renew_stream_ids()


def seed_generators() -> None:
    """Seed the generators of NumPy and torch; Python seeds its own after a fork."""
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    if torch := sys.modules.get("torch"):
        torch.default_generator.seed()


def show_command(command: list[str]) -> None:
    """Make the kernel report this command line for this process, as far as it fits."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        begin, end = int(fields[45]), int(fields[46])
        title = os.fsencode(" ".join(command))[: end - begin - 2] + b"\0"
        # A last byte that is not zero tells the kernel that the command line ends with the first zero byte.
        ctypes.memmove(begin, title.ljust(end - begin, b" "), end - begin)


def _import(names: Iterable[str]) -> None:
    with paused_for_imports():
        for name in names:
            importlib.import_module(name)
    # NumPy's OpenBLAS has started threads. It ends them before a fork, and starts them when they are needed.
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
