"""The results of a job as a document, to compare two runs of it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_DIGITS = 4
_SITE_DOCUMENTS = ("intersection.txt", "model.json", "test.model.json")
"""What a private set intersection and XGBoost write at the sites only."""
_METRICS = re.compile(r"EvalController .* - Metrics: (?P<metrics>.*)")
"""What NVFlare's federated evaluation writes to its log, and nowhere else."""


def results_of(folder: Path) -> dict[str, Any]:
    """Return the models, evaluations and documents in a downloaded job, by file name; numbers are rounded."""
    workspace = next(folder.glob("*/workspace"))
    found = {}
    for file in sorted(workspace.rglob("*")):
        if not file.is_file() or file.name.startswith(".") or "custom" in file.parts:
            continue
        content = _read(file, workspace)
        if content is not None and len(content):
            found[str(file.relative_to(workspace))] = _plain(content)
    return found


def results_of_site(folder: Path) -> dict[str, Any]:
    """Return the documents of a job in the workspace of a site, by file name."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.name in _SITE_DOCUMENTS:
            content = _document(file) if file.suffix == ".json" else sorted(file.read_text().split())
            found[file.name] = _plain(content)
    return found


def _read(file: Path, workspace: Path) -> Any:
    if file.parent.name == "result_shareables":
        return _shareable(file)
    if file.name == "log.txt":
        found = [ast.literal_eval(match["metrics"]) for match in _METRICS.finditer(file.read_text())]
        return sorted(found, key=str)
    if file.parent.name not in ("app_server", "models") and file.parent != workspace / "cross_site_val":
        return _document(file) if file.name == "statistics.json" else None
    if file.suffix == ".npy":
        return np.load(file)
    if file.suffix == ".pt":
        import torch

        return torch.load(file, weights_only=False)["model"]  # a file of our own job; some hold NumPy arrays
    if file.suffix == ".joblib":
        import joblib

        return joblib.load(file)
    return _document(file) if file.suffix == ".json" else None


def _document(file: Path) -> Any:
    content = json.loads(file.read_text())
    if isinstance(content, Mapping) and "learner" in content:
        return _trees(content)
    return content if isinstance(content, Mapping | list) else [content]


def _trees(model: Any) -> list[Any]:
    """Return the trees of an XGBoost model, which stand in the order in which the sites answered."""
    trees = model["learner"]["gradient_booster"]["model"]["trees"]
    plain = [_plain({name: value for name, value in tree.items() if name != "id"}) for tree in trees]
    return sorted(plain, key=json.dumps)


def _shareable(file: Path) -> Any:
    """Return one site's evaluation of one model."""
    from nvflare.apis.utils.decomposers import flare_decomposers
    from nvflare.fuel.utils import fobs

    flare_decomposers.register()
    return fobs.loads(file.read_bytes()).data


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes):
        return "encrypted"
    return round(value, _DIGITS) + 0.0 if isinstance(value, float) else value
