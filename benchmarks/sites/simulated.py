"""Simulated sites: `python -m benchmarks.sites.simulated KITS NAME...`, until it is terminated.

Each site has a connection of its own, registers with its own kit, and sends heartbeats, as NVFlare's parent
does. When a job starts on it, a second connection polls for tasks and sends results, as its job process does.
All sites of the command share this process. It prints `registered N` when all N have registered.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ServerCommandKey, ServerCommandNames
from nvflare.apis.fl_context import FLContext, FLContextManager
from nvflare.apis.shareable import ReservedHeaderKey, Shareable
from nvflare.apis.signal import Signal
from nvflare.apis.utils.decomposers import flare_decomposers
from nvflare.apis.utils.fl_context_utils import gen_new_peer_ctx
from nvflare.fuel.f3.cellnet.cell import Cell
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.cellnet.fqcn import FQCN
from nvflare.fuel.f3.drivers.driver_params import DriverParams
from nvflare.fuel.sec.authn import set_add_auth_headers_filters
from nvflare.private.admin_defs import Message, ok_reply
from nvflare.private.defs import (
    CellChannel,
    CellChannelTopic,
    CellMessageHeaderKeys,
    ClientType,
    JobFailureMsgKey,
    RequestHeader,
    SpecialTaskName,
    TaskConstant,
    TrainingTopic,
    new_cell_message,
)
from nvflare.private.fed.authenticator import Authenticator
from nvflare.private.scheduler_constants import ShareableHeader

from fl_app.jobs.fibonacci.site import FibonacciSite

HEARTBEAT_SECONDS = 10.0
TIMEOUT_SECONDS = 60.0
WORKERS = 8


class Site:
    """One simulated site.

    Args:
        kit: its startup kit.
    """

    def __init__(self, kit: Path) -> None:
        startup = kit / "startup"
        server = json.loads((startup / "fed_client.json").read_text())["servers"][0]
        self.name = kit.name
        self.jobs: set[str] = set()
        self._project, self._identity = server["name"], server["identity"]
        self._url = f"{server['service']['scheme']}://{server['service']['target']}"
        self._files = {
            DriverParams.CA_CERT.value: str(startup / "rootCA.pem"),
            DriverParams.CLIENT_CERT.value: str(startup / "client.crt"),
            DriverParams.CLIENT_KEY.value: str(startup / "client.key"),
        }
        self._credentials: tuple[str, str, str] = ("", "", "")

    def register(self) -> None:
        """Connect to the server and register."""
        self._cell = self._connect(self.name)
        self._cell.register_request_cb(channel=CellChannel.CLIENT_MAIN, topic="*", cb=self._answer)
        authenticator = Authenticator(
            cell=self._cell,
            project_name=self._project,
            client_name=self.name,
            client_type=ClientType.REGULAR,
            expected_sp_identity=self._identity,
            secure_mode=True,
            root_cert_file=self._files[DriverParams.CA_CERT.value],
            private_key_file=self._files[DriverParams.CLIENT_KEY.value],
            cert_file=self._files[DriverParams.CLIENT_CERT.value],
            msg_timeout=TIMEOUT_SECONDS,
            retry_interval=0.5,
        )
        sender = gen_new_peer_ctx(self._context().fl_ctx)
        token, signature, ssid, _ = authenticator.authenticate(sender, Signal())
        self._credentials = (token, signature, ssid)
        set_add_auth_headers_filters(self._cell, self.name, *self._credentials)

    def send_heartbeat(self) -> None:
        """Send one heartbeat, and wait for the answer."""
        headers = {
            CellMessageHeaderKeys.PROJECT_NAME: self._project,
            CellMessageHeaderKeys.JOB_IDS: sorted(self.jobs),
        }
        message = new_cell_message(headers, self._context().message())
        self._ask(self._cell, FQCN.ROOT_SERVER, CellChannel.SERVER_MAIN, CellChannelTopic.HEART_BEAT, message)

    def _connect(self, fqcn: str) -> Cell:
        cell = Cell(
            fqcn=fqcn,
            root_url=self._url,
            secure=True,
            credentials=dict(self._files),
            create_internal_listener=False,
            auth_identity=self.name,
            auth_identity_map={FQCN.ROOT_SERVER: self._identity},
        )
        cell.start()
        return cell

    def _context(self, job: str = "") -> _Context:
        return _Context(self.name, job)

    def _ask(self, cell: Cell, target: str, channel: str, topic: str, message: Any) -> Any:
        return cell.send_request(
            target=target,
            channel=channel,
            topic=topic,
            request=message,
            timeout=TIMEOUT_SECONDS,
            optional=True,
        )

    def _answer(self, request: Any) -> Any:
        """Accept a job, as a site with enough resources does."""
        asked: Message = request.payload
        reply = ok_reply()
        if asked.topic == TrainingTopic.CHECK_RESOURCE:
            enough = Shareable()
            enough.set_header(ShareableHeader.IS_RESOURCE_ENOUGH, True)
            enough.set_header(ShareableHeader.RESOURCE_RESERVE_TOKEN, "")
            reply = Message(topic=f"reply_{asked.topic}", body=enough)
        elif asked.topic == TrainingTopic.START_JOB:
            job = asked.get_header(RequestHeader.JOB_ID)
            self.jobs.add(job)
            threading.Thread(target=self._run_job, args=(job,), daemon=True).start()
            reply = Message(topic=f"reply_{asked.topic}", body="OK")
        return new_cell_message({}, reply)

    def _run_job(self, job: str) -> None:
        """Take part in a job until the server ends it, and report the end."""
        cell = self._connect(f"{self.name}.{job}")
        set_add_auth_headers_filters(cell, self.name, *self._credentials)
        context, server, executor = self._context(job), f"{FQCN.ROOT_SERVER}.{job}", FibonacciSite()
        has_started = False
        while True:
            asked = self._message(context.message())
            reply = self._ask(cell, server, CellChannel.SERVER_COMMAND, ServerCommandNames.GET_TASK, asked)
            if reply.get_header(MessageHeaderKey.RETURN_CODE) != ReturnCode.OK:
                if has_started:
                    break  # the server's job process has ended
                time.sleep(0.5)
                continue
            has_started = True
            task: Shareable = reply.payload
            name = task.get_header(ServerCommandKey.TASK_NAME)
            if name == SpecialTaskName.END_RUN:
                break
            if name != SpecialTaskName.TRY_AGAIN:
                result = self._message(self._execute(executor, context, name, task))
                self._ask(cell, server, CellChannel.SERVER_COMMAND, ServerCommandNames.SUBMIT_UPDATE, result)
            time.sleep(task.get_header(TaskConstant.WAIT_TIME, 0.5))
        cell.stop()
        self.jobs.discard(job)
        outcome = {JobFailureMsgKey.JOB_ID: job, JobFailureMsgKey.CODE: 0, JobFailureMsgKey.REASON: None}
        topic = CellChannelTopic.REPORT_JOB_FAILURE
        message = new_cell_message({}, outcome)
        self._ask(self._cell, FQCN.ROOT_SERVER, CellChannel.SERVER_MAIN, topic, message)

    def _message(self, content: Shareable) -> Any:
        return new_cell_message({CellMessageHeaderKeys.PROJECT_NAME: self._project}, content)

    def _execute(self, executor: FibonacciSite, context: _Context, name: str, task: Shareable) -> Shareable:
        result = executor.execute(name, task, context.fl_ctx, Signal())
        if jar := task.get_cookie_jar():
            result.set_cookie_jar(jar)
        result.set_header(ReservedHeaderKey.TASK_NAME, name)
        result.set_header(FLContextKey.TASK_NAME, name)
        result.set_header(ReservedHeaderKey.TASK_ID, task.get_header(FLContextKey.TASK_ID))
        return context.message(result)


class _Context:
    """What NVFlare's messages say of their sender."""

    def __init__(self, site: str, job: str) -> None:
        place = {ReservedKey.FQSN: site, ReservedKey.IS_LEAF: True}
        manager = FLContextManager(None, site, job, public_stickers=place, private_stickers={})
        self.fl_ctx: FLContext = manager.new_context()

    def message(self, content: Shareable | None = None) -> Shareable:
        """Return a message with this sender."""
        content = Shareable() if content is None else content
        content.set_peer_context(gen_new_peer_ctx(self.fl_ctx))
        return content


def main() -> None:
    """Register all sites, then send heartbeats, spread over the interval."""
    logging.disable(logging.CRITICAL)
    flare_decomposers.register()
    kits, names = Path(sys.argv[1]), sys.argv[2:]
    sites = [Site(kits / name) for name in names]
    with ThreadPoolExecutor(WORKERS) as workers:
        try:
            list(workers.map(Site.register, sites))
        except Exception:  # whatever it is, the benchmark must see it and not wait
            traceback.print_exc()
            os._exit(1)  # threads of NVFlare would keep the process running
        print(f"registered {len(sites)}", flush=True)
        while True:
            begin = time.monotonic()
            for number, site in enumerate(sites):
                due = begin + HEARTBEAT_SECONDS * number / len(sites)
                time.sleep(max(0.0, due - time.monotonic()))
                workers.submit(site.send_heartbeat)
            time.sleep(max(0.0, begin + HEARTBEAT_SECONDS - time.monotonic()))


if __name__ == "__main__":
    main()
