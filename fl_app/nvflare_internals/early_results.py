"""Results of sites that arrive before the server's process of a job has started."""

from __future__ import annotations

from typing import Any

USES = {
    "nvflare.fuel.f3.cellnet.cell:Adapter.call": "results that arrive before the job has started",
    "nvflare.fuel.f3.cellnet.cell:Adapter._send_response": "refuse such a result",
    "nvflare.private.fed.server.server_command_agent:ServerCommandAgent": "recognize the receiver of results",
    "nvflare.private.fed.server.fed_server:FederatedServer.server_runner": "whether the job has started",
    "nvflare.private.fed.server.server_runner:ServerRunner.status": "whether the job has started",
}


def refuse_results_until_start() -> None:
    """Let a site send its result again if the server's process of the job has not started yet.

    After a restart of that process, a site may send the result of its last task at once. NVFlare decodes it
    before the job has registered how to decode tensors, and ends the process because it cannot.
    """
    from nvflare.apis.fl_constant import ServerCommandNames
    from nvflare.fuel.f3.cellnet.cell import Adapter
    from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
    from nvflare.fuel.f3.cellnet.utils import make_reply
    from nvflare.fuel.f3.streaming.stream_const import StreamHeaderKey

    call = Adapter.call

    def call_after_start(self: Any, future: Any, *args: Any, **kwargs: Any) -> Any:
        headers = future.headers
        topic = headers.get(StreamHeaderKey.TOPIC)
        if topic != ServerCommandNames.SUBMIT_UPDATE or _has_started(self.cb):
            return call(self, future, *args, **kwargs)
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

    Adapter.call = call_after_start


def _has_started(callback: Any) -> bool:
    from nvflare.private.fed.server.server_command_agent import ServerCommandAgent

    agent = getattr(callback, "__self__", None)
    if not isinstance(agent, ServerCommandAgent):
        return True
    runner = agent.engine.server.server_runner
    return runner is not None and runner.status != "init"
