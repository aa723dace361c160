"""How long a site's process of a job waits for the server's reply to its result."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time
from typing import Any

from nvflare.apis.fl_constant import ReservedTopic, ReturnCode, ServerCommandNames
from nvflare.apis.shareable import Shareable
from nvflare.fuel.f3.streaming.byte_streamer import reliable_retry_scheduler
from nvflare.fuel.f3.streaming.download_service import DownloadService

from fl_app.nvflare_internals.model_download import ModelTooLargeError

USES = {
    "nvflare.private.fed.client.client_run_manager:ClientRunManager.aux_runner": "ask again about a task",
    "nvflare.private.fed.client.client_run_manager:ClientRunManager.client": "replies to results",
    "nvflare.private.fed.client.fed_client_base:FederatedClientBase.communicator": "replies to results",
    "nvflare.private.fed.client.communicator:Communicator.cell": "replies to results",
    "nvflare.fuel.f3.streaming.download_service:DownloadService._tx_table": "progress of an upload",
    "nvflare.fuel.f3.streaming.byte_streamer:reliable_retry_scheduler": "progress of an array of an upload",
    "nvflare.fuel.f3.streaming.byte_streamer:TxTask.last_ack_progress_ts": (
        "progress of an array of an upload"
    ),
}

MAX_REFUSED = 3
"""Times in a row that the model of a task does not fit into a site's memory, until its process ends."""
_POLLS = 2
"""How often the progress of an upload is looked at within the time it may stand still."""


def wait_for_uploads(engine: Any) -> None:
    """Let the site's process of a job wait for a reply as long as the server downloads from it.

    NVFlare waits a fixed time and then sends the result once more. On a link that needs longer, each further
    result slows down those before it, and none arrives. If the server does not even answer whether it still
    wants the result, NVFlare sends it, too; here the site asks again.

    Args:
        engine: NVFlare's engine of that process.
    """
    communicator = engine.client.communicator
    communicator.cell = _UploadCell(communicator.cell)
    engine.aux_runner = _TaskCheck(engine.aux_runner)


class _UploadCell:
    """NVFlare's cell, with NVFlare's own check of progress for results.

    It ends the process if a task cannot be received for lack of memory: NVFlare would ask for it for ever.
    """

    def __init__(self, cell: Any) -> None:
        self._cell = cell
        self._refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cell, name)

    def send_request(self, *, topic: str, timeout: float, **arguments: Any) -> Any:
        """Send a message and return the reply.

        Args:
            topic: its topic.
            timeout: seconds without progress after which the reply is a timeout.
            **arguments: as of NVFlare's cell.

        Raises:
            SystemExit: the model of a task does not fit into the memory, repeatedly.
        """
        if topic == ServerCommandNames.GET_TASK:
            return self._get_task(topic=topic, timeout=timeout, **arguments)
        if topic != ServerCommandNames.SUBMIT_UPDATE:
            return self._cell.send_request(topic=topic, timeout=timeout, **arguments)
        return self._cell.send_request(
            topic=topic, timeout=timeout / _POLLS, progress_wait_cb=_progress(timeout), **arguments
        )

    def _get_task(self, **arguments: Any) -> Any:
        try:
            reply = self._cell.send_request(**arguments)
        except ModelTooLargeError as error:
            self._refused += 1
            if self._refused == MAX_REFUSED:
                raise SystemExit(str(error)) from error
            raise
        self._refused = 0
        return reply


def _progress(seconds: float) -> Callable[[], bool]:
    """Return a function that says whether the server received a part of the result in the last `seconds`.

    It asks for one array after the other, and acknowledges the frames of each.
    """
    last = monotonic()

    def is_progressing() -> bool:
        nonlocal last
        ages = [time() - one.last_active_time for one in tuple(DownloadService._tx_table.values())]
        # Other messages are short: their first acknowledgement is their last.
        streams = tuple(reliable_retry_scheduler.tasks.values())
        acknowledged = [one.last_ack_progress_ts for one in streams if one.offset_ack]
        last = max(last, monotonic() - min(ages, default=seconds), *acknowledged)
        return monotonic() - last < seconds

    return is_progressing


class _TaskCheck:
    """NVFlare's runner of messages, which asks about a task again if the server does not answer."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def send_aux_request(self, targets: Any, topic: str, *arguments: Any, **options: Any) -> Any:
        """Send a message and return the replies by target."""
        replies = self._runner.send_aux_request(targets, topic, *arguments, **options)
        if topic == ReservedTopic.TASK_CHECK:
            for reply in replies.values():
                if isinstance(reply, Shareable) and reply.get_return_code() == ReturnCode.TIMEOUT:
                    reply.set_return_code(ReturnCode.COMMUNICATION_ERROR)
        return replies
