"""The port forwarding daemon: listen on local ports, and forward each connection to the pod that runs then.

`port_forward` runs `python -m deploy.runtimes.kubernetes.port_forward_daemon LIST RECORD` in its own session.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import sys
import threading
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from deploy.errors import FlarefleetError
from deploy.hosts import LOOPBACK
from deploy.ports import listen
from deploy.runtimes import records
from deploy.runtimes.kubernetes.port_forward import PortForward, PortForwardList
from deploy.runtimes.records import ProcessRecord

if TYPE_CHECKING:
    from deploy.runtimes.kubernetes.cluster import Cluster

CHUNK_BYTES = 2**16

_log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Listen on every local port, write the process record, and serve until killed."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    found = records.read(Path(arguments[0]), PortForwardList) or PortForwardList()
    with selectors.DefaultSelector() as listening:
        for forward in found.forwards:
            listening.register(listen(LOOPBACK, forward.local_port), selectors.EVENT_READ, forward)
        created = psutil.Process().create_time()
        records.write(Path(arguments[1]), ProcessRecord(pid=os.getpid(), created=created))
        for context in {forward.context for forward in found.forwards}:
            threading.Thread(target=_warm_up, args=(context,), daemon=True).start()
        while True:
            for key, _ in listening.select():
                listener = key.fileobj
                assert isinstance(listener, socket.socket)
                with suppress(OSError):  # the peer has closed the connection
                    connection = listener.accept()[0]
                    threading.Thread(target=_forward, args=(connection, key.data), daemon=True).start()


@cache
def _cluster(context: str) -> Cluster:
    from deploy.runtimes.kubernetes.cluster import Cluster  # takes a second; listening need not wait for it

    return Cluster(context)


def _warm_up(context: str) -> None:
    """Import the Kubernetes client before the first connection."""
    with suppress(FlarefleetError):
        _cluster(context)


def _forward(local: socket.socket, forward: PortForward) -> None:
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    with local:
        try:
            cluster = _cluster(forward.context)
            pod = cluster.running_pod(forward.namespace, forward.selector)
            if pod is None:
                _log.info("%s has no running pod", forward.name)
                return
            remote = cluster.connect(forward.namespace, pod, forward.port)
        except (ApiException, FlarefleetError, HTTPError, OSError) as error:
            _log.info("%s cannot be reached: %s", forward.name, error)
            return
        with closing(remote):
            back = threading.Thread(target=_copy, args=(remote, local), daemon=True)
            back.start()
            _copy(local, remote)
            back.join()


def _copy(source: Any, target: Any) -> None:
    """Copy until one side closes, then close both: Kubernetes does not support half-closed connections."""
    with suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            target.sendall(chunk)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
