"""Good jobs of federated averaging whose models are unusual."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from nvflare.app_common.abstract.fl_model import FLModel

from tests.unit.guard.good_jobs import MODEL, answer, averaging, by_round, difference, moved, usual
from tests.unit.guard.in_process import Job, Train


def keeping(*names: str) -> Train:
    """Change everything but these parameters."""

    def train(site: str, received: FLModel) -> FLModel:
        kept = {name: received.params[name] for name in names}
        return answer({**received.params, **moved(received), **kept})

    return train


def with_constant(value: Any) -> Job:
    """A constant buffer that every site returns as it was sent."""
    model = {**MODEL, "mask": np.asarray(value)}
    return averaging(keeping("mask"), model)


def batch_norm_counters() -> Job:
    """Counters are integers of zero dimensions, and every site counts its own batches."""

    def train(site: str, received: FLModel) -> FLModel:
        counted = received.params["norm.num_batches_tracked"] + (3 if site == "site-1" else 4)
        return answer({**moved(received), "norm.num_batches_tracked": counted})

    return averaging(train, {**MODEL, "norm.num_batches_tracked": np.asarray(0)})


def boolean_mask() -> Job:
    model = {**MODEL, "pruned": np.array([True, False])}
    return averaging(lambda site, received: difference({"layer.bias": np.full(3, 0.1)}), model)


def torch_model(train: Train | None = None, dtype: str = "float32") -> Job:
    """Tensors, among them a batch normalization."""
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)).to(getattr(torch, dtype))

    def usual_step(site: str, received: FLModel) -> FLModel:
        return answer(
            {
                name: value
                + (torch.tensor(2) if name.endswith("tracked") else torch.tensor(0.125, dtype=value.dtype))
                for name, value in received.params.items()
            }
        )

    return averaging(train or usual_step, net.state_dict())


def sparse_tensors() -> Job:
    """Differences as sparse tensors, which NVFlare adds like others."""
    import torch

    def train(site: str, received: FLModel) -> FLModel:
        step = torch.zeros(2, 3)
        step[0, 0 if site == "site-1" else 1] = 0.5
        return difference({"layer.weight": step.to_sparse()})

    return averaging(train, {"layer.weight": torch.ones(2, 3), "layer.bias": torch.zeros(3)})


def top_k() -> Job:
    """Each site returns one number, the rest of its difference is zero."""

    def train(site: str, received: FLModel) -> FLModel:
        step = {name: np.zeros_like(value) for name, value in received.params.items()}
        step["layer.weight"][0, int(site[-1])] = 1.0
        return difference(step)

    return averaging(train)


def lora() -> Job:
    """Only the adapters are trained and sent; B starts at zero, and so does their product."""

    def train(site: str, received: FLModel) -> FLModel:
        step = {name: np.full_like(value, 0.01) for name, value in received.params.items() if "lora" in name}
        return difference(step)

    adapters = {"base": np.ones((8, 8)), "lora_A": np.ones((2, 8)) * 0.1, "lora_B": np.zeros((8, 2))}
    return averaging(train, adapters)


def only_adapters() -> Job:
    """The global model is the adapters alone."""
    return averaging(usual, {"lora_A": np.ones((2, 8)), "lora_B": np.zeros((8, 2))})


def many_parameters() -> Job:
    return averaging(usual, {f"층.{number}.weight": np.ones(2) for number in range(2000)})


def read_only_arrays() -> Job:
    """Views: not contiguous, and not writable."""

    def train(site: str, received: FLModel) -> FLModel:
        views = {name: np.asfortranarray(value).T.T for name, value in moved(received).items()}
        for view in views.values():
            view.setflags(write=False)
        return answer(views)

    return averaging(train)


MODELS: dict[str, Callable[[], Job]] = {
    "batch normalization counters": batch_norm_counters,
    "a constant buffer with -inf": lambda: with_constant([[0.0, -np.inf], [0.0, 0.0]]),
    "a constant buffer with NaN": lambda: with_constant([np.nan, 1.0]),
    "a buffer of integers": lambda: with_constant(np.arange(5)),
    "an empty parameter": lambda: with_constant(np.zeros((0, 4))),
    "a buffer of booleans, left out of differences": boolean_mask,
    "frozen layers": lambda: averaging(keeping("layer.weight")),
    "differences of a part of the model": lambda: averaging(
        lambda site, received: difference({"layer.bias": np.full(3, 0.1)})
    ),
    "a layer that stays at the site": lambda: averaging(
        lambda site, received: answer(
            {"layer.weight": received.params["layer.weight"] + 0.1, "head": np.ones(3)}
        ),
        {"layer.weight": np.ones((2, 3))},
        exclude_vars="head",
    ),
    "LoRA adapters as differences": lora,
    "LoRA adapters alone": only_adapters,
    "PyTorch tensors": torch_model,
    "bfloat16 tensors": lambda: torch_model(dtype="bfloat16"),
    "sparse tensors": sparse_tensors,
    "top-k updates": top_k,
    "complex numbers": lambda: averaging(usual, {"spectrum": np.ones(4) * 1j}),
    "numbers of zero dimensions": lambda: averaging(usual, {"temperature": np.asarray(1.0)}),
    "a model that starts at zero": lambda: averaging(usual, {"w": np.zeros((2, 2))}),
    "a model of large numbers": lambda: averaging(by_round(1e6, 1e6, 1e6), {"w": np.full(3, 1e9)}),
    "many parameters with names that are not ASCII": many_parameters,
    "arrays that are read-only views": read_only_arrays,
}
"""Good jobs by what is unusual about their model."""
