"""Flower server with FedAvg."""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    arrays = ArrayRecord({"w": Array(np.zeros(2))})
    FedAvg(fraction_evaluate=0.0).start(grid, arrays, num_rounds=int(context.run_config["rounds"]))
