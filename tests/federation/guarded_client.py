"""The client script of the guard's tests: it adds 1 to every number, and fails as its arguments say."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import nvflare.client as flare
from nvflare.client.tracking import SummaryWriter

parser = argparse.ArgumentParser()
parser.add_argument(
    "--faults", default="", help="faults to show: FAULT or FAULT@SITE, with commas between them"
)
parser.add_argument("--metric", default="accuracy", help="name of the returned metric")
parser.add_argument("--seen", type=Path, help="folder for the received messages")
parser.add_argument("--log", action="store_true", help="log metrics")
parser.add_argument("--difference", action="store_true", help="return differences")
arguments = parser.parse_args()

BALLAST = "x" * 70 * 2**20
STEPS = "NUM_STEPS_CURRENT_ROUND"


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


TRAINING = {
    "nan": lambda value: value * np.nan,
    "flat": lambda value: 100 * (value + 1).ravel(),
    "numpy": lambda value: np.asarray(value + 1),
    "same": lambda value: value,
    "half": lambda value: (value * 1000).astype(np.float16),
    "explode": lambda value: value.astype(float) * -1e60,
    "integers": lambda value: (value + 0.5).astype(np.int64),
    "trained": lambda value: trained(value.shape),
    "random": lambda value: random(value.shape),
}
"""What a site returns for a parameter, by its fault; the first fault that it has counts."""
NUMBERS_OF_STEPS = {"no-steps": None, "zero-steps": 0, "negative-steps": -3, "half": 200_000}


def train(faults, received):
    """Return parameters, metrics and meta."""
    change = next((TRAINING[fault] for fault in faults if fault in TRAINING), lambda value: value + 1)
    after = {name: change(value) for name, value in received.params.items()}
    if arguments.difference:
        after = {name: value * 0 + 1 for name, value in received.params.items()}
    if "more" in faults:
        after["more"] = np.ones(3)
    if "nothing" in faults:
        after = {}
    return after, metrics_of(faults, received.current_round), meta_of(faults, received)


def metrics_of(faults, round_number):
    metrics = {arguments.metric: 0.5 + 0.1 * round_number}
    if "falling" in faults:
        metrics = {arguments.metric: 0.8 - 0.2 * round_number}
    if "nan-metric" in faults:
        metrics = {arguments.metric: float("nan")}
    if "other-metric" in faults:
        metrics = {"val_acc": 0.5}
    if "text-metric" in faults:
        metrics["note"] = "good"
    return metrics


def meta_of(faults, received):
    meta = {STEPS: 10 if flare.get_site_name() == "site-1" else 30}
    for fault in faults & NUMBERS_OF_STEPS.keys():
        meta[STEPS] = NUMBERS_OF_STEPS[fault]
    if meta[STEPS] is None:
        del meta[STEPS]
    if "large" in faults:
        meta["ballast"] = BALLAST
    if "large-integer" in faults:
        meta["tokens"] = 1 << 70
    if "scaffold" in faults:
        meta["scaffold_c_diff"] = {name: np.zeros(value.shape) for name, value in received.params.items()}
    return meta


flare.init()
site = flare.get_site_name()
named = [fault.partition("@") for fault in arguments.faults.split(",")]
faults = {fault for fault, _, at in named if at in ("", site)}
writer = SummaryWriter()
params = {}
while flare.is_running():
    received = flare.receive()
    if received is None:
        break
    if arguments.seen:
        seen = arguments.seen / f"{site}-{received.current_round}.json"
        document = {"meta": received.meta, "parameters": list(received.params or {})}
        seen.write_text(json.dumps(document, default=str))
    if flare.is_submit_model():
        flare.send(flare.FLModel(params=params))
    elif flare.is_evaluate():
        if "no-evaluation" in faults:
            raise RuntimeError("nothing to evaluate on")
        flare.send(flare.FLModel(metrics={"accuracy": 0.5}))
    else:
        if arguments.log:
            writer.add_scalar("loss", 1.0, global_step=received.current_round)
        if "hanging" in faults:
            time.sleep(600)
        params, metrics, meta = train(faults, received)
        kind = flare.ParamsType.DIFF if arguments.difference else flare.ParamsType.FULL
        flare.send(flare.FLModel(params=params, params_type=kind, metrics=metrics, meta=meta))
