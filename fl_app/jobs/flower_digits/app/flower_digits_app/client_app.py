"""The ClientApp: it identifies its site and trains on the images of the site."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fl_app.jobs.fedadagrad.digits import divide
from fl_app.jobs.fedadagrad.local_training import train_locally
from fl_app.jobs.fedadagrad.metadata import REPORT
from fl_app.jobs.shared.classifier import DigitClassifier
from fl_app.jobs.shared.examples import mixed_seed

from .settings import settings_in
from .tracking import connected, log

LOSSES = "losses"
"""Key of the state that Flower stores at the site: the losses of all rounds."""

app = ClientApp()


@app.lifespan()
def lifespan(_: Context) -> Iterator[None]:
    """Connect to NVFlare's trackers while the app runs."""
    torch.set_num_threads(1)  # small steps gain nothing from more threads, and sites may share this machine
    with connected():
        yield


@app.query()
def identify(message: Message, context: Context) -> Message:
    """Reply with the name of the site and the number of its part of the images."""
    part = int(context.node_config["partition-id"])
    name = str(context.node_config.get("client-name", f"node-{part}"))
    return Message(RecordDict({"site": ConfigRecord({"name": name, "part": part})}), reply_to=message)


@app.train()
def train_round(message: Message, context: Context) -> Message:
    """Train on the images of the site, with the learning rate from the server."""
    settings, sites = settings_in(context.run_config)
    config = message.content["config"]
    part, round = int(context.node_config["partition-id"]), int(config["server-round"])
    images = divide(sites, settings.seed).sites[part]
    model = DigitClassifier(settings.hidden, settings.seed)
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    earlier_losses = list(context.state[LOSSES]["all"]) if LOSSES in context.state else []
    report, metrics = train_locally(
        model,
        images,
        settings,
        learning_rate=float(config["learning-rate"]),
        seed=mixed_seed(settings.seed, part, round - 1),
        earlier_losses=earlier_losses,
    )
    context.state[LOSSES] = MetricRecord({"all": [*earlier_losses, *report.losses]})
    log(metrics, step=round)
    return Message(
        RecordDict(
            {
                "arrays": ArrayRecord(model.state_dict()),
                "metrics": MetricRecord({"num-examples": len(images), **metrics}),
                REPORT: ConfigRecord(report.to_wire()),
            }
        ),
        reply_to=message,
    )
