"""Exchange of models between job processes: large frames on fast links, and no copies of their arrays.

NVFlare serializes each array (`numpy.savez`, `safetensors.save`), keeps the bytes until all sites have them,
and copies them again when it loads them. Here the sender sends slices of the arrays, and the
receiver copies each slice to its place in an array that it allocated once.
"""

from __future__ import annotations

from fl_app.contract import ENV_DIRECT_EXCHANGE, is_enabled
from fl_app.nvflare_internals.frames import send_large_frames_on_fast_links


def exchange_without_copies() -> None:
    """Send and receive models in this process in large frames, and without copies.

    Without copies only if the other process does the same, and ENV_DIRECT_EXCHANGE does not disable it.
    """
    send_large_frames_on_fast_links()
    if is_enabled(ENV_DIRECT_EXCHANGE):
        from fl_app.exchange.download import REQUEST, ModelSource, receive
        from fl_app.nvflare_internals.model_download import replace_model_download

        replace_model_download(ModelSource, receive, REQUEST)
