"""How one job process downloads the arrays of a model from another one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

USES = {
    "nvflare.fuel.f3.streaming.download_service:_download_object": "receive the arrays of a model",
    "nvflare.fuel.f3.streaming.download_service:_PropKey.STATE": "ask for another format of the arrays",
    "nvflare.fuel.utils.fobs.decomposers.via_downloader:ViaDownloaderDecomposer._create_downloadable": (
        "send the arrays of a model"
    ),
    "nvflare.app_common.np.np_downloader:ArrayConsumer": "recognize the receiver of arrays",
    "nvflare.app_opt.pt.tensor_downloader:TensorConsumer": "recognize the receiver of tensors",
}

_TENSORS = "nvflare.app_opt.pt.tensor_downloader"

Send = Callable[[Mapping[str, Any], Any], Any]
"""Return what is downloaded, given the arrays and NVFlare's own `Downloadable` of them."""
Receive = Callable[[Any, str], AbstractContextManager[Any]]
"""Return the consumer for the time of a download, given NVFlare's own for arrays or tensors in memory, and
the name of the sender."""


class ModelTooLargeError(RuntimeError):
    """A model does not fit into the memory of its receiver. The message has the sizes."""


def replace_model_download(send: Send, receive: Receive, request: Mapping[str, Any]) -> None:
    """Replace both ends of the downloads of arrays and tensors in this process.

    NVFlare's decomposers stay registered, so that messages name them, and a peer without Flarefleet
    understands each message. The receiver asks for another format in the first request, as its state.
    NVFlare's own `Downloadable` ignores what it does not know, and sends its own format.

    Args:
        send: creates what is downloaded from this process.
        receive: creates the receiver of a download to this process.
        request: state in the first request of a download.
    """
    from nvflare.fuel.f3.streaming import download_service
    from nvflare.fuel.utils.fobs import dots
    from nvflare.fuel.utils.fobs.decomposers.via_downloader import ViaDownloaderDecomposer as Decomposer

    create, download = Decomposer._create_downloadable, download_service._download_object

    def create_downloadable(self: Any, fobs_ctx: Any) -> Any:
        own = create(self, fobs_ctx)
        is_model = self.get_download_dot() in (dots.NUMPY_DOWNLOAD, dots.TENSOR_DOWNLOAD)
        return send(own.base_obj, own) if is_model else own

    def download_object(*, consumer: Any, cell: Any, from_fqcn: str, **arguments: Any) -> None:
        used: AbstractContextManager[Any] = nullcontext(consumer)
        if _receives_in_memory(consumer):
            used = receive(consumer, from_fqcn)
            cell = _Asking(cell, {download_service._PropKey.STATE: dict(request)})
        with used as receiver:
            download(consumer=receiver, cell=cell, from_fqcn=from_fqcn, **arguments)

    Decomposer._create_downloadable = create_downloadable
    download_service._download_object = download_object


def _receives_in_memory(consumer: Any) -> bool:
    """Return whether a consumer keeps arrays or tensors, and not each part of them in a way of its own."""
    from nvflare.app_common.np.np_downloader import ArrayConsumer

    if type(consumer) is ArrayConsumer:
        return consumer.arrays_received_cb is None
    tensors = sys.modules.get(_TENSORS)  # torch may not be installed
    return (
        tensors is not None
        and type(consumer) is tensors.TensorConsumer
        and consumer.tensors_received_cb is None
    )


class _Asking:
    """NVFlare's cell, for one download: the first request carries a state."""

    def __init__(self, cell: Any, first: Mapping[str, Any]) -> None:
        self._cell, self._first = cell, first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cell, name)

    def send_request(self, *, request: Any, **arguments: Any) -> Any:
        """Send a request and return the reply."""
        request.payload = {**self._first, **request.payload}
        return self._cell.send_request(request=request, **arguments)
