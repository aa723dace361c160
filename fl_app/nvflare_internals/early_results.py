"""Results that the server's process of a job cannot receive now: the site sends them again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from fl_app.nvflare_internals.model_download import ModelTooLargeError

USES = {
    "nvflare.fuel.f3.cellnet.cell:Adapter.call": "results that arrive too early or are cut off",
    "nvflare.fuel.f3.cellnet.cell:Adapter._send_response": "refuse such a result",
    "nvflare.fuel.f3.cellnet.cell:decode_payload": "refuse a result whose arrays cannot be downloaded",
    "nvflare.private.fed.server.server_command_agent:ServerCommandAgent": "recognize the receiver of results",
    "nvflare.private.fed.server.fed_server:FederatedServer.server_runner": "whether the job has started",
    "nvflare.private.fed.server.server_runner:ServerRunner.status": "whether the job has started",
}

_DOWNLOAD_FAILED = "failed to download from "
"""How the message of NVFlare's error begins if the arrays of a message cannot be downloaded."""


MAX_REFUSALS = 10
"""Results of one site in a row that were cut off, each of which NVFlare has tried four times to receive."""


class _DownloadFailedError(BaseException):
    """The arrays of a result cannot be downloaded. Not an Exception: NVFlare ends the process for those.

    Args:
        reason: NVFlare's error.
    """

    def __init__(self, reason: RuntimeError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def refuse_undeliverable_results(give_up: Callable[[Any, str, RuntimeError], object]) -> None:
    """Let a site send its result again if it arrives too early, or if its arrays cannot be downloaded.

    After a restart of the server's process of a job, a site may send the result of its last task at once.
    NVFlare decodes it before the job has registered how to decode tensors, and ends the process because it
    cannot. It also ends the process if the site is killed or cut off while its arrays are downloaded.

    Args:
        give_up: called with NVFlare's engine, the site and the error after MAX_REFUSALS results in a row
            that were cut off, or after one that can never be received: then it is a ModelTooLargeError.
    """
    from nvflare.apis.fl_constant import ServerCommandNames
    from nvflare.fuel.f3.cellnet import cell
    from nvflare.fuel.f3.cellnet.cell import Adapter
    from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
    from nvflare.fuel.f3.cellnet.utils import make_reply
    from nvflare.fuel.f3.streaming.stream_const import StreamHeaderKey

    call, decode = Adapter.call, cell.decode_payload
    refusals: Counter[str] = Counter()

    def decode_or_refuse(message: Any, *args: Any, **kwargs: Any) -> None:
        try:
            decode(message, *args, **kwargs)
        except RuntimeError as error:
            is_result = message.get_header(StreamHeaderKey.TOPIC) == ServerCommandNames.SUBMIT_UPDATE
            if is_result and str(error).startswith(_DOWNLOAD_FAILED):
                raise _DownloadFailedError(error) from error
            raise

    def call_after_start(self: Any, future: Any, *args: Any, **kwargs: Any) -> Any:
        headers = future.headers
        topic = headers.get(StreamHeaderKey.TOPIC)
        site = _site_of(str(headers.get(MessageHeaderKey.ORIGIN)))
        if topic != ServerCommandNames.SUBMIT_UPDATE or _has_started(self.cb):
            try:
                answer = call(self, future, *args, **kwargs)
            except _DownloadFailedError as error:
                self.logger.warning(f"a result was not received: {error}; its site sends it again")
                refusals[site] += 1
                if refusals[site] == MAX_REFUSALS or isinstance(error.reason, ModelTooLargeError):
                    give_up(self.cb.__self__.engine, site, error.reason)
            else:
                if topic == ServerCommandNames.SUBMIT_UPDATE:
                    refusals[site] = 0
                return answer
        else:
            future.result()  # the site sends all of it before it reads the reply
        self._send_response(
            make_reply(ReturnCode.SERVICE_UNAVAILABLE),
            headers.get(StreamHeaderKey.STREAM_REQ_ID, ""),
            headers.get(MessageHeaderKey.REQ_ID, ""),
            headers.get(StreamHeaderKey.CHANNEL),
            topic,
            headers.get(MessageHeaderKey.ORIGIN),
            headers.get(MessageHeaderKey.SECURE, False),
        )
        return None

    cell.decode_payload = decode_or_refuse
    Adapter.call = call_after_start


def _site_of(origin: str) -> str:
    """Return the site of a job process, whose cell is named `SITE.JOB`."""
    return origin.split(".")[-2] if "." in origin else origin


def _has_started(callback: Any) -> bool:
    from nvflare.private.fed.server.server_command_agent import ServerCommandAgent

    agent = getattr(callback, "__self__", None)
    if not isinstance(agent, ServerCommandAgent):
        return True
    runner = agent.engine.server.server_runner
    return runner is not None and runner.status != "init"
