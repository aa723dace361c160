"""A client script that fails at site-2 as its first argument says; see `site_errors.py`."""

import ctypes
import os
import sys
import time
from pathlib import Path

CASE, MARK = sys.argv[1], Path(sys.argv[2])
"""The failure, and the file that records when it happens."""
FAILS = "site-2" in " ".join([str(Path.cwd()), *sys.orig_argv])


def now_at(case):
    """Return whether the script must fail now, and record the time."""
    is_now = FAILS and case == CASE
    if is_now:
        MARK.write_text(str(time.time()))
    return is_now


if now_at("missing-package"):
    import medpy  # noqa: F401

import nvflare.client as flare  # noqa: E402


def train(received):
    """Fail in the second round."""
    if received.current_round == 1:
        print("reading images of round 2", file=sys.stderr, flush=True)
        if now_at("raises"):
            raise ValueError("negative age in row 7")
        if now_at("exits"):
            sys.exit(3)
        if now_at("exits-hard"):
            os._exit(0)
        if now_at("crashes"):
            ctypes.string_at(0)
        if now_at("sleeps"):
            time.sleep(600)
        if now_at("holds-lock"):  # Python's lock, so that no thread sends a heartbeat
            ctypes.PyDLL(None).sleep(10)
        if now_at("asks-often"):
            for ask in (flare.is_running, flare.receive) * 2 + (flare.is_running,) * 9 + (flare.receive,) * 9:
                ask()
    return {name: value + 1 for name, value in received.params.items()}


flare.init()
while flare.is_running():
    received = flare.receive()
    params = train(received)
    if now_at("ends"):
        break
    if now_at("never-sends"):
        continue
    flare.send(flare.FLModel(params=params))
if now_at("raises-at-the-end"):
    raise RuntimeError("cannot write the summary")
