"""How long a job process waits for a chunk of a model that it downloads from another job process.

NVFlare waits 600 s, and tries four times: a site that downloads a model when the server's process is killed
would hang for 40 minutes. A chunk is sent from memory, so that the size of the model does not matter, but the
bandwidth does. NVFlare reads the timeout at the first download of a process, and then keeps it.
"""

from __future__ import annotations

from collections.abc import MutableMapping

from fl_app.survival.limits import survival_enabled

CHUNK_TIMEOUT_SECONDS = 60
"""Seconds without a byte of a chunk: a frame of 1 MiB at 0.14 Mbit/s. NVFlare asks for the chunk again three
times, with pauses."""
_VARIABLES = ("NVFLARE_NP_STREAMING_PER_REQUEST_TIMEOUT", "NVFLARE_TENSOR_STREAMING_PER_REQUEST_TIMEOUT")
"""NVFlare's variables for arrays of NumPy and tensors of PyTorch. Settings of a job override them."""


def set_download_timeout(environment: MutableMapping[str, str]) -> None:
    """Set the timeout in the environment of a job process, if it is not set and survival is enabled."""
    if survival_enabled():
        for variable in _VARIABLES:
            environment.setdefault(variable, str(CHUNK_TIMEOUT_SECONDS))
