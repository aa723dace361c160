"""Which example covers each recipe of NVFlare 2.9.0, and what does not run here."""

from __future__ import annotations

COVERED_BY = {
    "cyclic": "hello-cyclic",
    "cyclic-pt": "hello-cyclic",
    "fed-task": "task",
    "fedavg": "hello-pt",
    "fedavg-he-pt": "homomorphic-encryption",
    "fedavg-numpy": "hello-numpy",
    "fedavg-pt": "hello-pt",
    "fedavg-sklearn": "sklearn-linear",
    "fedce-pt": "fedce",
    "fedeval-pt": "fedeval",
    "fedopt-pt": "fedopt",
    "fedprox-pt": "fedprox",
    "fedstats": "statistics",
    "kmeans-sklearn": "sklearn-kmeans",
    "lr": "logistic-regression",
    "scaffold-pt": "scaffold",
    "svm-sklearn": "sklearn-svm",
    "swarm-pt": "swarm",
    "xgb-bagging": "xgboost-bagging",
    "xgb-horizontal": "xgboost-horizontal",
    "xgb-vertical": "xgboost-vertical",
}
"""Example, by recipe. Further examples have no listed recipe, such as hello-collab and Kaplan-Meier."""

WITH_PACKAGES = (
    "homomorphic-encryption",
    "lightning",
    "private-set-intersection",
    "xgboost-bagging",
    "xgboost-horizontal",
    "xgboost-vertical",
)
"""Examples that run in .venv-examples, with packages that requirements/dev.txt lacks."""

NOT_RUN = {
    "cyclic-tf": "tensorflow",
    "fedavg-tf": "tensorflow",
    "fedopt-tf": "tensorflow",
    "scaffold-tf": "tensorflow",
    "LLM examples": "peft",
    "hello-flower": "flwr",
}
"""Distribution that a recipe or example needs, and that requirements/dev.txt lacks.

Flower has an environment of its own: tests/federation/test_flower_job.py. Edge devices are out of scope.
"""
