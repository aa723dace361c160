"""`python -m fl_app.tracking.forward RECEIVER QUEUE PARENT-PID`: send until nothing is left, and end."""

from __future__ import annotations

import faulthandler
import sys
from importlib import import_module
from pathlib import Path

from fl_app.launchers.entry_point import end_with_parent
from fl_app.tracking.forward.forwarding import Forwarding
from fl_app.tracking.forward.receiver import Receiver
from fl_app.tracking.receivers import RECEIVERS
from fl_app.tracking.sending import SHOW_STACK


def main() -> int:
    """Send."""
    faulthandler.register(SHOW_STACK)
    name, queue, parent = sys.argv[1:]
    end_with_parent(int(parent))
    module, _, attribute = RECEIVERS[name].partition(":")
    receiver: Receiver = getattr(import_module(module), attribute)(Path(queue))
    Forwarding(receiver, Path(queue)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
