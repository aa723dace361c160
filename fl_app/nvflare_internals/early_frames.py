"""The first message on a new connection, which NVFlare drops if it overtakes the handshake.

The process that accepts a connection answers the handshake before it has recorded the peer. A message that
the peer sends at once is handled by another thread, which fails: "'NoneType' object has no attribute
'endpoint'". A job pod whose first message was lost waits 300 s for the reply.
"""

from __future__ import annotations

import time
from functools import wraps
from typing import Any

USES = {
    "nvflare.fuel.f3.sfm.conn_manager:ConnManager.process_frame_task": "let a message wait for the handshake",
    "nvflare.fuel.f3.sfm.sfm_conn:SfmConnection.sfm_endpoint": "whether the handshake is done",
}

HANDSHAKE_SECONDS = 3.0
"""How long a message waits for the handshake of its connection."""
_POLL_SECONDS = 0.01


def keep_early_messages() -> None:
    """Let the messages that this process receives wait until the handshake of their connection is done."""
    from nvflare.fuel.f3.sfm.conn_manager import ConnManager

    process = ConnManager.process_frame_task

    @wraps(process)
    def process_frame_task(manager: Any, connection: Any, frame: Any) -> None:
        if connection.sfm_endpoint is None and _is_message(frame):
            deadline = time.monotonic() + HANDSHAKE_SECONDS
            while connection.sfm_endpoint is None and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        process(manager, connection, frame)

    ConnManager.process_frame_task = process_frame_task


def _is_message(frame: Any) -> bool:
    from nvflare.fuel.f3.sfm.constants import Types
    from nvflare.fuel.f3.sfm.prefix import PREFIX_LEN, Prefix

    return len(frame) >= PREFIX_LEN and Prefix.from_bytes(frame).type == Types.DATA
