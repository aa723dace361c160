"""The server in Flower: it waits for its sites, trains, and keeps what comes of it in its working folder."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context, Message, MessageType, RecordDict
from flwr.serverapp import Grid, ServerApp
from safetensors.torch import save

from fl_app.jobs.fedadagrad.digits import divide
from fl_app.jobs.fedadagrad.evaluation import EvaluationJournal
from fl_app.jobs.shared.classifier import DigitClassifier

from .settings import settings_in
from .strategy import DigitStrategy, SiteFailed
from .tracking import connected

LAST_MODEL = "last_model.safetensors"
SITES_WITHIN = 300.0
"""Seconds in which every site must be there and say its name."""
POLL = 0.2

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the whole job."""
    torch.set_num_threads(1)
    settings, sites = settings_in(context.run_config)
    model = DigitClassifier(settings.hidden, settings.seed)
    initial = ArrayRecord(model.state_dict())
    journal = EvaluationJournal(Path.cwd(), model, divide(sites, settings.seed).test)
    with connected():
        strategy = DigitStrategy(settings, who_is_there(grid, sites), journal)
        result = strategy.start(
            grid=grid, initial_arrays=initial, num_rounds=settings.rounds, evaluate_fn=strategy.evaluate
        )
    journal.write(LAST_MODEL, save(result.arrays.to_torch_state_dict()))


def who_is_there(grid: Grid, sites: int, within: float = SITES_WITHIN) -> dict[str, int]:
    """Flower's number of each site, by the name that the site says.

    Raises:
        SiteFailed: not so many sites are there in time, or two say the same name.
    """
    deadline = time.monotonic() + within
    while len(there := list(grid.get_node_ids())) < sites:
        if time.monotonic() > deadline:
            raise SiteFailed(f"{len(there)} of {sites} sites were there after {within:.0f} s")
        time.sleep(POLL)
    questions = [
        Message(content=RecordDict(), message_type=MessageType.QUERY, dst_node_id=node) for node in there
    ]
    answers = list(grid.send_and_receive(questions, timeout=deadline - time.monotonic()))
    if raised := [answer.error.reason for answer in answers if answer.has_error()]:
        raise SiteFailed(f"asked for its name, a site's ClientApp raised {raised[0]}")
    names = {str(answer.content["site"]["name"]): answer.metadata.src_node_id for answer in answers}
    if len(names) != sites:
        raise SiteFailed(
            f"{sites} sites were asked for their names; these answered: {', '.join(sorted(names))}"
        )
    return names
