"""Exchange of models between job processes without copies of their arrays.

NVFlare serializes each array (`numpy.savez`, `safetensors.save`), keeps the bytes until all sites have them,
and copies them again when it loads them. Here the sender sends slices of the arrays' own memory, and the
receiver copies each slice to its place in an array that it allocated once.
"""

from __future__ import annotations

from fl_app.contract import ENV_DIRECT_EXCHANGE, is_enabled


def exchange_without_copies() -> None:
    """Send and receive models in this process without copies, if the other process does the same.

    Only ENV_DIRECT_EXCHANGE enables it, until it has been measured with many sites and under kills.
    """
    if is_enabled(ENV_DIRECT_EXCHANGE, default=False):
        from fl_app.exchange.download import REQUEST, ModelSource, receive
        from fl_app.nvflare_internals.model_download import replace_model_download

        replace_model_download(ModelSource, receive, REQUEST)
