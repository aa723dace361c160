"""A training script that holds Python's lock in each round, as a native library may; no thread runs then."""

from __future__ import annotations

import ctypes
import sys

import nvflare.client as flare
from nvflare.app_common.abstract.fl_model import FLModel

SECONDS = int(sys.argv[1])

flare.init()
while flare.is_running():
    model = flare.receive()
    ctypes.PyDLL(None).sleep(SECONDS)
    params = {name: value + 1 for name, value in model.params.items()}
    flare.send(FLModel(params=params, metrics={"loss": 1.0}, meta={"NUM_STEPS_CURRENT_ROUND": 1}))
