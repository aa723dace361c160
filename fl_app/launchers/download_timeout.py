"""How long a job process waits for a chunk of a model that it downloads from another job process.

NVFlare waits 600 s, and tries four times: a site that downloads a model when the server's process is killed
would hang for 40 minutes. The timeout starts anew with each frame of a chunk, so that the size of the model
does not matter, but the bandwidth does: NVFlare's frames of 1 MiB are too large for slow links. NVFlare reads
these settings when a process connects and when it first downloads, and then keeps them.

NVFlare also sends a frame again that is not acknowledged within 5 s, and acknowledges only every 16 MiB: on a
link of 8 Mbit/s, a model of 8 MB was sent twice. Few frames wait for an acknowledgement here.
"""

from __future__ import annotations

from collections.abc import MutableMapping

from fl_app.contract import TRANSFER_TIMEOUT_SECONDS
from fl_app.survival.limits import survival_enabled

FRAME_BYTES = 256 * 1024
"""Size of the frames of a chunk."""
WINDOW_BYTES = 4 * FRAME_BYTES
"""Bytes that wait for an acknowledgement. A link needs 0.6 Mbit/s to send them in RESEND_SECONDS, and with
a round trip of 100 ms, a transfer reaches 80 Mbit/s."""
RESEND_SECONDS = 15.0
_SETTINGS: dict[str, float] = {
    "NVFLARE_NP_STREAMING_PER_REQUEST_TIMEOUT": TRANSFER_TIMEOUT_SECONDS,
    "NVFLARE_TENSOR_STREAMING_PER_REQUEST_TIMEOUT": TRANSFER_TIMEOUT_SECONDS,
    "NVFLARE_STREAMING_CHUNK_SIZE": FRAME_BYTES,
    "NVFLARE_STREAMING_WINDOW_SIZE": WINDOW_BYTES,
    "NVFLARE_STREAMING_ACK_INTERVAL": FRAME_BYTES,
    "NVFLARE_STREAMING_RETRY_WAIT": RESEND_SECONDS,
}
"""NVFlare's variables for arrays of NumPy and tensors of PyTorch. Settings of a job override them. NVFlare
asks for a late chunk again three times, with pauses."""


def set_download_timeout(environment: MutableMapping[str, str]) -> None:
    """Set the timeout in the environment of a job process, if it is not set and survival is enabled."""
    if survival_enabled():
        for variable, value in _SETTINGS.items():
            environment.setdefault(variable, str(value))
