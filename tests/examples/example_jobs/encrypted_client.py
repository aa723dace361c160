"""Client of homomorphic encryption: it trains the classifier and writes each global model, decrypted."""

import json
from pathlib import Path

import nvflare.client as flare
import torch
from example_jobs.dataset import points
from example_jobs.model import Classifier

STEPS, RATE = 3, 0.1

torch.set_num_threads(1)
flare.init()
features, labels = map(torch.as_tensor, points(flare.get_site_name()))
net = Classifier()

while flare.is_running():
    received = flare.receive()
    if received is None:
        break
    # Decrypted parameters are flat.
    shapes = {name: value.shape for name, value in net.state_dict().items()}
    model = {name: torch.as_tensor(value).reshape(shapes[name]) for name, value in received.params.items()}
    net.load_state_dict(model)
    written = {name: value.double().tolist() for name, value in model.items()}
    Path(__file__).with_name("model.json").write_text(json.dumps(written))
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(features), labels).backward()
        optimizer.step()
    flare.send(flare.FLModel(params=net.state_dict(), meta={"NUM_STEPS_CURRENT_ROUND": STEPS}))
