"""Example script of the job `numpy-fedavg`: each site fits a linear model to its own measurements.

It travels with the job, as a script of your own does, and uses NVFlare's Client API. All sites' measurements
have the same true weights and different features.
"""

from __future__ import annotations

import argparse
import hashlib

import numpy as np
from numpy.typing import NDArray

KEY = "numpy_key"
"""NVFlare's name of the one array of a NumPy model."""

Numbers = NDArray[np.float64]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse `train_args`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="gradient descent steps per round")
    parser.add_argument("--rate", type=float, default=0.1, help="step size")
    parser.add_argument("--examples", type=int, default=200, help="number of measurements of this site")
    parser.add_argument(
        "--noise", type=float, default=0.1, help="standard deviation of the measurement error"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--poison", type=float, default=0.0, help="offset added to every weight, to simulate a broken site"
    )
    return parser.parse_args(words)


def true_weights(count: int) -> Numbers:
    """Return the weights that all sites look for: 1, 2, 3..."""
    return np.arange(1.0, count + 1)


def measurements(site: str, count: int, given: argparse.Namespace) -> tuple[Numbers, Numbers]:
    """Return a site's features and targets, which depend on its name and the seed."""
    of_site = int.from_bytes(hashlib.sha256(site.encode()).digest()[:8], "big")
    random = np.random.default_rng((given.seed, of_site))
    centre = random.normal(0, 0.5, count)
    features = random.normal(centre, 1.0, (given.examples, count))
    return features, features @ true_weights(count) + random.normal(0, given.noise, given.examples)


def loss_of(weights: Numbers, features: Numbers, targets: Numbers) -> float:
    """Return the mean squared error."""
    return float(np.mean((features @ weights - targets) ** 2))


def fit(weights: Numbers, features: Numbers, targets: Numbers, given: argparse.Namespace) -> Numbers:
    """Take some steps of gradient descent from `weights`."""
    for _ in range(given.steps):
        gradient = 2 * features.T @ (features @ weights - targets) / len(targets)
        weights = weights - given.rate * gradient
    return weights + given.poison


def main() -> None:
    """Train until the server ends the job."""
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
            raise ValueError(f"this script fits one row of weights, but the model has shape {weights.shape}")
        features, targets = measurements(site, len(weights), given)
        loss = loss_of(weights, features, targets)
        writer.add_scalar("loss", loss, global_step=received.current_round + 1)  # NVFlare counts from 0
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
