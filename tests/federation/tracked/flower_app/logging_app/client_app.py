"""Flower client that logs a scalar; it does not train."""

from __future__ import annotations

from collections.abc import Iterator

from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from nvflare.client import tracking

app = ClientApp()


@app.lifespan()
def lifespan(_: Context) -> Iterator[None]:
    tracking.init()
    try:
        yield
    finally:
        tracking.shutdown()


@app.train()
def train(message: Message, _: Context) -> Message:
    step = int(message.content["config"]["server-round"]) - 1
    tracking.SummaryWriter().add_scalar("train_loss", 1 / (1 + step), global_step=step)
    content = RecordDict({"arrays": message.content["arrays"], "metrics": MetricRecord({"num-examples": 1})})
    return Message(content, reply_to=message)
