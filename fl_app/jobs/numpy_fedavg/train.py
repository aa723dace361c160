"""The example of the job `numpy-fedavg`: a site fits straight lines to its own measurements, in NumPy alone.

It travels with the job, as a script of your own would, and talks to NVFlare by its Client API. Every site's
measurements come from the same true weights and differ in where they lie.
"""

from __future__ import annotations

import argparse
import hashlib

import numpy as np
from numpy.typing import NDArray

KEY = "numpy_key"
"""Under which NVFlare keeps a NumPy model's one array."""

Numbers = NDArray[np.float64]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """What `train_args` may say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="steps of gradient descent in a round")
    parser.add_argument("--rate", type=float, default=0.1, help="size of a step")
    parser.add_argument("--examples", type=int, default=200, help="measurements of this site")
    parser.add_argument(
        "--noise", type=float, default=0.1, help="standard deviation of a measurement's error"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--poison", type=float, default=0.0, help="added to every weight, as a broken site would"
    )
    return parser.parse_args(words)


def true_weights(count: int) -> Numbers:
    """What all sites together are to find: 1, 2, 3..."""
    return np.arange(1.0, count + 1)


def measurements(site: str, count: int, given: argparse.Namespace) -> tuple[Numbers, Numbers]:
    """A site's own features and targets: its name and the seed decide them."""
    of_site = int.from_bytes(hashlib.sha256(site.encode()).digest()[:8], "big")
    random = np.random.default_rng((given.seed, of_site))
    centre = random.normal(0, 0.5, count)
    features = random.normal(centre, 1.0, (given.examples, count))
    return features, features @ true_weights(count) + random.normal(0, given.noise, given.examples)


def loss_of(weights: Numbers, features: Numbers, targets: Numbers) -> float:
    """Mean squared error."""
    return float(np.mean((features @ weights - targets) ** 2))


def fit(weights: Numbers, features: Numbers, targets: Numbers, given: argparse.Namespace) -> Numbers:
    """Some steps of gradient descent from `weights`."""
    for _ in range(given.steps):
        gradient = 2 * features.T @ (features @ weights - targets) / len(targets)
        weights = weights - given.rate * gradient
    return weights + given.poison


def main() -> None:
    """Take part until the server says that it is over."""
    import nvflare.client as flare
    from nvflare.client.tracking import SummaryWriter

    given = arguments()
    flare.init()
    writer = SummaryWriter()
    site = flare.get_site_name()
    while flare.is_running():
        received = flare.receive()
        if received is None:
            break
        weights = np.asarray(received.params[KEY], dtype=np.float64)
        if weights.ndim != 1:
            raise ValueError(f"this script fits a row of weights, and the model has shape {weights.shape}")
        features, targets = measurements(site, len(weights), given)
        loss = loss_of(weights, features, targets)
        writer.add_scalar("loss", loss, global_step=received.current_round)
        after = fit(weights, features, targets, given)
        flare.send(
            flare.FLModel(
                params={KEY: after.astype(np.float32)},
                metrics={"loss": loss},
                meta={"NUM_STEPS_CURRENT_ROUND": given.examples},
            )
        )


if __name__ == "__main__":
    main()
