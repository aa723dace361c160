"""The table of one hospital, as the tutorial's script reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fl_app.jobs.shared.sklearn_datasets import load_breast_cancer


def write_patients(folder: Path, count: int = 200) -> Path:
    """Write patients.csv into a new folder, and return the folder."""
    features, labels = load_breast_cancer()
    table = np.column_stack([features, labels])[:count]
    header = ",".join([*(f"feature_{number}" for number in range(features.shape[1])), "label"])
    folder.mkdir(parents=True)
    np.savetxt(folder / "patients.csv", table, delimiter=",", header=header, comments="")
    return folder
