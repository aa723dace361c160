"""Training script that logs a parameter twice with different values; it does not train."""

import nvflare.client as flare
from nvflare.client.tracking import MLflowWriter

flare.init()
writer = MLflowWriter()
while flare.is_running():
    received = flare.receive()
    if received is None:
        break
    step = received.current_round
    writer.log_param("learning_rate", 0.1 / (1 + step))
    writer.log_metric("train_loss", 1 / (1 + step), step)
    params = {name: value + 1 for name, value in received.params.items()}
    flare.send(flare.FLModel(params=params, metrics={"accuracy": 0.5}, meta={"NUM_STEPS_CURRENT_ROUND": 1}))
