"""The ServerApp: it waits for the sites, trains, and stores the results in its working folder."""

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
SITES_TIMEOUT = 300.0
"""Seconds within which every site must connect and identify itself."""
POLL_INTERVAL = 0.2

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the job."""
    torch.set_num_threads(1)
    settings, sites = settings_in(context.run_config)
    model = DigitClassifier(settings.hidden, settings.seed)
    initial = ArrayRecord(model.state_dict())
    journal = EvaluationJournal(Path.cwd(), model, divide(sites, settings.seed))
    with connected():
        strategy = DigitStrategy(settings, wait_for_sites(grid, sites), journal)
        result = strategy.start(
            grid=grid, initial_arrays=initial, num_rounds=settings.rounds, evaluate_fn=strategy.evaluate
        )
    journal.write(LAST_MODEL, save(result.arrays.to_torch_state_dict()))


def wait_for_sites(grid: Grid, sites: int, timeout: float = SITES_TIMEOUT) -> dict[str, int]:
    """Wait until all sites have connected; return Flower's node id of each site, by name.

    Raises:
        SiteFailed: a site did not connect in time, its ClientApp raised, or two sites have the same name.
    """
    deadline = time.monotonic() + timeout
    while len(connected_nodes := list(grid.get_node_ids())) < sites:
        if time.monotonic() > deadline:
            raise SiteFailed(f"{len(connected_nodes)} of {sites} sites connected within {timeout:.0f} s")
        time.sleep(POLL_INTERVAL)
    requests = [
        Message(content=RecordDict(), message_type=MessageType.QUERY, dst_node_id=node)
        for node in connected_nodes
    ]
    replies = list(grid.send_and_receive(requests, timeout=deadline - time.monotonic()))
    if raised := [reply.error.reason for reply in replies if reply.has_error()]:
        raise SiteFailed(f"the ClientApp of a site raised {raised[0]} when asked for the site's name")
    names = {str(reply.content["site"]["name"]): reply.metadata.src_node_id for reply in replies}
    if len(names) != sites:
        raise SiteFailed(f"{sites} sites connected, with these names: {', '.join(sorted(names))}")
    return names
