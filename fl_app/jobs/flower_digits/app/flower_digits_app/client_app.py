"""A site in Flower: it says its name, and trains on its own images."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fl_app.jobs.fedadagrad.digits import divide
from fl_app.jobs.fedadagrad.learning import measure, train
from fl_app.jobs.fedadagrad.metadata import REPORT, TrainingReport
from fl_app.jobs.fedadagrad.schedule import has_plateaued
from fl_app.jobs.shared.classifier import DigitClassifier

from .settings import settings_in
from .tracking import connected, log

LOSSES = "losses"

app = ClientApp()


@app.lifespan()
def lifespan(_: Context) -> Iterator[None]:
    """Reach NVFlare's trackers while the app runs."""
    torch.set_num_threads(1)  # small steps gain nothing from more, and sites may share this machine
    with connected():
        yield


@app.query()
def say_who(message: Message, context: Context) -> Message:
    """The site's name, and which part of the images is its own."""
    part = int(context.node_config["partition-id"])
    name = str(context.node_config.get("client-name", f"node-{part}"))
    return Message(RecordDict({"site": ConfigRecord({"name": name, "part": part})}), reply_to=message)


@app.train()
def train_round(message: Message, context: Context) -> Message:
    """Train on this site's images, with the learning rate that the server says."""
    settings, sites = settings_in(context.run_config)
    config = message.content["config"]
    part, round = int(context.node_config["partition-id"]), int(config["server-round"]) - 1
    images = divide(sites, settings.seed).sites[part]
    model = DigitClassifier(settings.hidden, settings.seed)
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    own_accuracy = measure(model, images).accuracy

    began = time.perf_counter()
    losses = train(
        model,
        images,
        epochs=settings.local_epochs,
        learning_rate=float(config["learning-rate"]),
        batch_size=settings.batch_size,
        seed=(settings.seed, part, round),
    )
    report = TrainingReport(
        seconds=time.perf_counter() - began,
        losses=tuple(losses),
        converged=has_plateaued(
            _losses_of_all_rounds(context, losses), settings.patience, settings.tolerance
        ),
        examples=len(images),
    )
    metrics = {
        "train_loss": losses[-1],
        "train_seconds": report.seconds,
        "converged": float(report.converged),
        "learning_rate": float(config["learning-rate"]),
        "own_accuracy": own_accuracy,
    }
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


def _losses_of_all_rounds(context: Context, losses: list[float]) -> list[float]:
    """This round's after those of earlier ones, which Flower keeps at the site."""
    earlier = list(context.state[LOSSES]["all"]) if LOSSES in context.state else []
    context.state[LOSSES] = MetricRecord({"all": [*earlier, *losses]})
    return [*earlier, *losses]
