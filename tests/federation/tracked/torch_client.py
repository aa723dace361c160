"""Training script that logs a scalar, with PyTorch; it does not train."""

import nvflare.client as flare
import torch
from nvflare.client.tracking import SummaryWriter

flare.init()
writer = SummaryWriter()
while flare.is_running():
    received = flare.receive()
    if received is None:
        break
    writer.add_scalar("train_loss", 1 / (1 + received.current_round), global_step=received.current_round)
    params = {name: torch.as_tensor(value) + 1 for name, value in received.params.items()}
    flare.send(flare.FLModel(params=params, metrics={"accuracy": 0.5}, meta={"NUM_STEPS_CURRENT_ROUND": 1}))
