"""The program that holds the doors open: it listens on ports of this machine and carries what comes into
pods, each connection anew to the pod that runs then.

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
from deploy.runtimes import records
from deploy.runtimes.kubernetes.port_forward import Door, DoorList
from deploy.runtimes.records import Record

if TYPE_CHECKING:
    from deploy.runtimes.kubernetes.cluster import Cluster

CHUNK_BYTES = 2**16

_log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Listen on every door, say so by the record, and stay."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    found = records.read(Path(arguments[0]), DoorList) or DoorList()
    with selectors.DefaultSelector() as listening:
        for door in found.doors:
            listening.register(_listen(door), selectors.EVENT_READ, door)
        process = psutil.Process()
        records.write(Path(arguments[1]), Record(pid=os.getpid(), created=process.create_time()))
        for context in {door.context for door in found.doors}:
            threading.Thread(target=_warm_up, args=(context,), daemon=True).start()
        while True:
            for key, _ in listening.select():
                listener = key.fileobj
                assert isinstance(listener, socket.socket)
                with suppress(OSError):  # who knocked is gone again
                    threading.Thread(
                        target=_carry, args=(listener.accept()[0], key.data), daemon=True
                    ).start()


def _listen(door: Door) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOOPBACK, door.local_port))
    listener.listen(64)
    return listener


@cache
def _cluster(context: str) -> Cluster:
    from deploy.runtimes.kubernetes.cluster import Cluster  # a second: the doors need not wait for it

    return Cluster(context)


def _warm_up(context: str) -> None:
    """Import Kubernetes' client before the first connection asks for it."""
    with suppress(FlarefleetError):
        _cluster(context)


def _carry(near: socket.socket, door: Door) -> None:
    """One connection, to its end."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    with near:
        try:
            cluster = _cluster(door.context)
            pod = cluster.running_pod(door.namespace, door.selector)
            if pod is None:
                _log.info("%s has no running pod", door.name)
                return
            far = cluster.connect(door.namespace, pod, door.port)
        except (ApiException, FlarefleetError, HTTPError, OSError) as error:
            _log.info("%s cannot be reached: %s", door.name, error)
            return
        with closing(far):
            back = threading.Thread(target=_pump, args=(far, near), daemon=True)
            back.start()
            _pump(near, far)
            back.join()


def _pump(source: Any, target: Any) -> None:
    """Carry until one side ends, then end both: Kubernetes knows no half of a connection."""
    with suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            target.sendall(chunk)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
