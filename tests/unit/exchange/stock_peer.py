"""`python stock_peer.py ADDRESS`: a cell of NVFlare without Flarefleet, which returns what it gets."""

from __future__ import annotations

import sys
import threading

from nvflare.app_common.decomposers import numpy_decomposers
from nvflare.app_opt.pt.decomposers import TensorDecomposer
from nvflare.fuel.f3.cellnet.cell import Cell
from nvflare.fuel.f3.cellnet.utils import make_reply
from nvflare.fuel.utils import fobs

numpy_decomposers.register()
fobs.register(TensorDecomposer)
peer = Cell("site-1", sys.argv[1], secure=False, credentials={})
peer.register_request_cb(
    channel="test", topic="echo", cb=lambda request: make_reply("ok", body=request.payload)
)
peer.start()
assert not any(name.partition(".")[0] == "fl_app" for name in sys.modules)
print("ready", flush=True)
threading.Event().wait()
