"""Made-up data: points of two classes, different at every site and the same in every run."""

import numpy as np

POINTS = 40


def points(site):
    """Return features (40, 4) and labels of a site."""
    random = np.random.default_rng(int(site.rpartition("-")[2]))
    labels = np.arange(POINTS) % 2
    features = random.normal(size=(POINTS, 4)) * 0.3 + labels[:, None] * 2 - 1
    return features.astype(np.float32), labels
