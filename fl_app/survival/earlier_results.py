"""Result files of an earlier process of a job, which a job that starts with round 1 must not continue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def remove_results(parts: Iterable[Any], run_folder: Path, app_folder: Path) -> None:
    """Remove the models that would be loaded at the start, and the metrics of rounds that are trained again.

    NVFlare's persistors for NumPy, TensorFlow, scikit-learn and XGBoost, and FedAvg without a persistor,
    prefer a saved model to the first model of the job.

    Args:
        parts: components and controllers of the job on the server.
        run_folder: the job's run folder.
        app_folder: the folder in which persistors save.

    Raises:
        OSError: a file cannot be removed.
    """
    for part in parts:
        for file in _files(part, run_folder, app_folder):
            file.unlink(missing_ok=True)


def _files(part: Any, run_folder: Path, app_folder: Path) -> Iterator[Path]:
    if (name := getattr(part, "model_name", None)) and (folder := getattr(part, "model_dir", None)):
        yield run_folder / folder / name
    if (name := getattr(part, "round_file_name", None)) and (folder := getattr(part, "results_dir", None)):
        yield run_folder / folder / name
    if name := getattr(part, "save_name", None):
        yield app_folder / name
    if name := getattr(part, "save_filename", None):
        yield run_folder / name
