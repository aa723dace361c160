"""Training script that logs every type of value; it does not train.

With the argument `--parameter`, it logs a parameter in each round with another value.
"""

import sys

import numpy
import nvflare.client as flare
from nvflare.apis.analytix import AnalyticsDataType
from nvflare.client import tracking

flare.init()
writer = tracking.SummaryWriter()
bins = {"edges": [0.0, 1.0, 2.0], "counts": [1, 2]}
image = numpy.linspace(0, 1, 3 * 16 * 16, dtype=numpy.float32).reshape(3, 16, 16)
while flare.is_running():
    received = flare.receive()
    if received is None:
        break
    step = received.current_round
    writer.add_scalar("train_loss", 1 / (1 + step), global_step=step)
    writer.add_scalars("error", {"train": 0.1, "valid": 0.2}, global_step=step)
    tracking.log("note", "*hello*", AnalyticsDataType.TEXT, global_step=step)
    tracking.log("sample", image, AnalyticsDataType.IMAGE, global_step=step)
    tracking.log("weights", "histogram", AnalyticsDataType.MODEL, histogram=bins, global_step=step)
    if "--parameter" in sys.argv:
        tracking.MLflowWriter().log_param("learning_rate", 0.1 / (1 + step))
    params = {name: value + 1 for name, value in received.params.items()}
    flare.send(flare.FLModel(params=params, metrics={"accuracy": 0.5}, meta={"NUM_STEPS_CURRENT_ROUND": 1}))
