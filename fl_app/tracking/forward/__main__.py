"""`python -m fl_app.tracking.forward RECEIVER QUEUE PARENT-PID`: send until the queue is idle, then exit."""

from __future__ import annotations

import faulthandler
import pkgutil
import sys
from pathlib import Path

from fl_app.child_process import end_with_parent
from fl_app.tracking.forward.forwarder import Forwarder
from fl_app.tracking.queue import TrackingQueue
from fl_app.tracking.receivers import RECEIVERS
from fl_app.tracking.sender_supervisor import DUMP_TRACEBACK


def main() -> int:
    """Run the sender process."""
    faulthandler.register(DUMP_TRACEBACK)
    name, folder, parent = sys.argv[1:]
    end_with_parent(int(parent))
    receiver = pkgutil.resolve_name(RECEIVERS[name])(Path(folder))
    Forwarder(receiver, TrackingQueue(Path(folder), name)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
