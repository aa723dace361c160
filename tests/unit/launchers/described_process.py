"""A program for tests: `python -m tests.unit.launchers.described_process FILE [wait]` writes what it sees."""

from __future__ import annotations

import atexit
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
from nvflare.fuel.f3.streaming.stream_utils import gen_stream_id

EXIT_CODE = 3
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD, signal.SIGALRM)


def _describe() -> dict[str, object]:
    """Return the state of this process that a job may depend on."""
    specification = sys.modules["__main__"].__spec__
    with os.scandir("/proc/self/fd") as entries:
        descriptors = {entry.name for entry in entries}
    return {
        "argv": sys.argv,
        "orig_argv": sys.orig_argv,
        "main": specification and specification.name,
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "path": sys.path,
        "flags": str(sys.flags),
        "parent": os.getppid(),
        "leads_session": os.getsid(0) == os.getpgrp() == os.getpid(),
        "sockets": [one for one in descriptors if _target(one).startswith("socket:")],
        "streams": [_target(one) for one in ("0", "1", "2")],
        "threads": [one.name for one in threading.enumerate()],
        "signals": [str(signal.getsignal(one)) for one in _SIGNALS],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    }


def _target(descriptor: str) -> str:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except FileNotFoundError:  # of the listing itself
        return ""


def _main() -> None:
    file = Path(sys.argv[1])
    random_values = [float(np.random.rand()), random.random(), gen_stream_id()]
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps({"state": _describe(), "random": random_values}))
    partial.rename(file)
    atexit.register(file.with_suffix(".exited").touch)
    if "wait" in sys.argv:
        time.sleep(600)
    sys.exit(EXIT_CODE)


if __name__ == "__main__":
    _main()
