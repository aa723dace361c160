"""How long a job process waits for a chunk of a model that it downloads from another job process.

NVFlare waits 600 s, and tries four times: a site that downloads a model when the server's process is killed
would hang for 40 minutes. The timeout starts anew with each frame of a chunk, so that the size of the model
does not matter, but the bandwidth does: NVFlare's frames of 1 MiB are too large for slow links. NVFlare reads
these settings when a process connects and when it first downloads, and then keeps them.
"""

from __future__ import annotations

from collections.abc import MutableMapping

from fl_app.contract import TRANSFER_TIMEOUT_SECONDS
from fl_app.survival.limits import survival_enabled

FRAME_BYTES = 256 * 1024
"""Size of the frames of a chunk. With TRANSFER_TIMEOUT_SECONDS, each transfer needs 0.11 Mbit/s, a
result without downloaded arrays 0.22 (the site waits in steps of half the time, see nvflare_internals)."""
_SETTINGS = {
    "NVFLARE_NP_STREAMING_PER_REQUEST_TIMEOUT": TRANSFER_TIMEOUT_SECONDS,
    "NVFLARE_TENSOR_STREAMING_PER_REQUEST_TIMEOUT": TRANSFER_TIMEOUT_SECONDS,
    "NVFLARE_STREAMING_CHUNK_SIZE": FRAME_BYTES,
}
"""NVFlare's variables for arrays of NumPy and tensors of PyTorch. Settings of a job override them. NVFlare
asks for a late chunk again three times, with pauses."""


def set_download_timeout(environment: MutableMapping[str, str]) -> None:
    """Set the timeout in the environment of a job process, if it is not set and survival is enabled."""
    if survival_enabled():
        for variable, value in _SETTINGS.items():
            environment.setdefault(variable, str(value))
