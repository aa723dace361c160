"""State that NVFlare creates when it is imported, and that each job process needs for itself."""

from __future__ import annotations

import random
import time

USES = {
    "nvflare.fuel.f3.streaming.stream_utils:sid_base": "give each forked job process its own stream ids",
}


def renew_stream_ids() -> None:
    """Choose the first stream id of this process as NVFlare does at its import."""
    from nvflare.fuel.f3.streaming import stream_utils

    microseconds = int(time.time() * stream_utils.MILLION)
    stream_utils.sid_base = microseconds + random.randint(0, stream_utils.MILLION)  # noqa: S311
