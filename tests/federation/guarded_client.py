"""The client script of the guard's tests: it adds 1 to every number, and fails as its arguments say."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import nvflare.client as flare
from nvflare.client.tracking import SummaryWriter

parser = argparse.ArgumentParser()
parser.add_argument("--case", default="good", help="failure to show")
parser.add_argument("--site", default="all", help="site that fails")
parser.add_argument("--metric", default="accuracy", help="name of the returned metric")
parser.add_argument("--seen", type=Path, help="folder for the received messages")
parser.add_argument("--log", action="store_true", help="log metrics")
parser.add_argument("--difference", action="store_true", help="return differences")
arguments = parser.parse_args()


BALLAST = "x" * 70 * 2**20


def trained(shape):
    """Return the weights of a linear model after some steps."""
    import torch

    torch.manual_seed(1)
    rows, columns = shape
    model = torch.nn.Linear(columns, rows)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(10):
        optimizer.zero_grad()
        model(torch.randn(64, columns)).square().mean().backward()
        optimizer.step()
    return model.weight.detach().numpy()


def random(shape):
    """Return random numbers of NumPy in the first row, and of torch in the others."""
    import torch

    return np.concatenate([np.random.rand(1, shape[1]), torch.rand(shape[0] - 1, shape[1]).numpy()])


ARRAYS = {"trained": trained, "random": random}


def train(case, received):
    """Return parameters, metrics and meta."""
    after = {name: value + 1 for name, value in received.params.items()}
    if arguments.difference:
        after = {name: value * 0 + 1 for name, value in received.params.items()}
    metrics = {arguments.metric: 0.5 + 0.1 * received.current_round}
    meta = {"NUM_STEPS_CURRENT_ROUND": 10 if flare.get_site_name() == "site-1" else 30}
    if case == "careless":  # several failures that NVFlare ignores
        after = {name: value * np.nan for name, value in after.items()} | {"more": np.ones(3)}
        return after, {"val_acc": 0.5}, {**meta, "ballast": BALLAST}
    if case in ARRAYS:
        after = {name: ARRAYS[case](value.shape) for name, value in after.items()}
    elif case == "nan":
        after = {name: value * np.nan for name, value in after.items()}
    elif case == "flat":
        after = {name: 100 * value.ravel() for name, value in after.items()}
    elif case == "more":
        after["more"] = np.ones(3)
    elif case == "large":
        meta["ballast"] = BALLAST
    elif case == "nothing":
        after = {}
    elif case == "hanging":
        time.sleep(600)
    elif case == "large-integer":
        meta["tokens"] = 1 << 70
    elif case == "numpy":
        after = {name: np.asarray(value) for name, value in after.items()}
    elif case == "scaffold":
        meta["scaffold_c_diff"] = {name: np.zeros(value.shape) for name, value in received.params.items()}
    return after, metrics, meta


flare.init()
site = flare.get_site_name()
writer = SummaryWriter()
params = {}
while flare.is_running():
    received = flare.receive()
    if received is None:
        break
    case = arguments.case if arguments.site in ("all", site) else "good"
    if arguments.seen:
        seen = arguments.seen / f"{site}-{received.current_round}.json"
        document = {"meta": received.meta, "parameters": list(received.params or {})}
        seen.write_text(json.dumps(document, default=str))
    if flare.is_submit_model():
        flare.send(flare.FLModel(params=params))
    elif flare.is_evaluate():
        if case == "no-evaluation":
            raise RuntimeError("nothing to evaluate on")
        flare.send(flare.FLModel(metrics={"accuracy": 0.5}))
    else:
        if arguments.log:
            writer.add_scalar("loss", 1.0, global_step=received.current_round)
        params, metrics, meta = train(case, received)
        kind = flare.ParamsType.DIFF if arguments.difference else flare.ParamsType.FULL
        flare.send(flare.FLModel(params=params, params_type=kind, metrics=metrics, meta=meta))
