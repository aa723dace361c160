"""Good jobs with other workflows than federated averaging, or with several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.aggregators.collect_and_assemble_model_aggregator import (
    CollectAndAssembleModelAggregator,
)
from nvflare.app_common.aggregators.intime_accumulate_model_aggregator import (
    InTimeAccumulateWeightedAggregator,
)
from nvflare.app_common.np.np_model_persistor import NPModelPersistor
from nvflare.app_common.shareablegenerators.full_model_shareable_generator import FullModelShareableGenerator
from nvflare.app_common.workflows.cmd_task_controller import CmdTaskController
from nvflare.app_common.workflows.cross_site_eval import CrossSiteEval
from nvflare.app_common.workflows.cyclic import Cyclic
from nvflare.app_common.workflows.cyclic_ctl import CyclicController
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.app_common.workflows.lr.fedavg import FedAvgLR
from nvflare.app_common.workflows.lr.np_persistor import LRModelPersistor
from nvflare.app_common.workflows.scaffold import Scaffold
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather
from nvflare.app_opt.pt.recipes.fedeval import EvalController
from nvflare.app_opt.sklearn.kmeans_assembler import KMeansAssembler
from nvflare.app_opt.sklearn.svm_assembler import SVMAssembler

from tests.unit.guard.good_components import EncryptedSum, Forest, GradientStep, Survival
from tests.unit.guard.good_jobs import MODEL, STEPS, answer, averaging, difference, moved, usual
from tests.unit.guard.in_process import Job, Memory, Train

THREE = ("site-1", "site-2", "site-3")


def gathering(train: Train, aggregator: Any, generator: Any = None, model: Any = MODEL, **more: Any) -> Job:
    """Scatter and gather, the workflow of older recipes, of FedOpt and of XGBoost."""
    sites = more.pop("sites", ("site-1", "site-2"))
    controller = ScatterAndGather(
        min_clients=2,
        num_rounds=2,
        wait_time_after_min_received=0,
        persistor_id="persistor",
        task_check_period=0.01,
        snapshot_every_n_rounds=0,
        memory_gc_rounds=0,
        **more,
    )
    components = {
        "persistor": Memory(model),
        "shareable_generator": generator or FullModelShareableGenerator(),
        "aggregator": aggregator,
    }
    return Job([controller], train, components=components, sites=sites)


def in_time(kind: str = DataKind.WEIGHTS) -> InTimeAccumulateWeightedAggregator:
    return InTimeAccumulateWeightedAggregator(expected_data_kind=kind)


def one_of_three_fails() -> Job:
    """The workflow needs two of three sites, and the third fails in the second round."""

    def train(site: str, received: FLModel) -> FLModel:
        if site == "site-3" and received.current_round == 1:
            raise RuntimeError("out of memory")
        return answer(moved(received))

    return gathering(train, in_time(), sites=THREE)


def trees() -> Job:
    """XGBoost by bagging: each site returns a tree as bytes, and the sites receive a list of them."""

    def train(site: str, received: FLModel) -> FLModel:
        before = len(received.params.get("model_data", ()))
        return FLModel(params={"model_data": f"{before} {site}".encode()})

    return gathering(train, Forest(), model={}, allow_empty_global_weights=True)


def scaffold() -> Job:
    def train(site: str, received: FLModel) -> FLModel:
        controls = {name: np.full_like(value, 0.01) for name, value in received.params.items()}
        return answer(moved(received), meta={STEPS: 10, "scaffold_c_diff": controls})

    controller = Scaffold(num_clients=2, num_rounds=2, persistor_id="persistor")
    return Job([controller], train, components={"persistor": Memory(MODEL)})


def cyclic(controller: Any) -> Job:
    components = {"persistor": Memory(MODEL), "shareable_generator": FullModelShareableGenerator()}
    return Job([controller], usual, components=components)


def newton() -> Job:
    """Sites return a gradient and a Hessian for a model with other names and shapes."""

    def train(site: str, received: FLModel) -> FLModel:
        gradient = np.ones_like(received.params["numpy_key"]) - received.params["numpy_key"]
        return answer({"gradient": gradient, "hessian": np.eye(len(gradient))})

    persistor = LRModelPersistor(n_features=3)
    controller = FedAvgLR(
        num_clients=2, num_rounds=2, damping_factor=0.8, n_features=3, persistor_id="persistor"
    )
    return Job([controller], train, components={"persistor": persistor})


def kmeans() -> Job:
    """The first task holds the number of clusters, the answers hold centers."""

    def train(site: str, received: FLModel) -> FLModel:
        centers = np.array([[0.0, 0.0], [5.0, 5.0]]) + (0.1 if site == "site-1" else -0.1)
        counts = None if received.current_round == 0 else np.array([3, 4])
        return answer({"center": centers, "count": counts}, metrics={"silhouette": 0.9})

    return assembled(KMeansAssembler(), train, {"n_clusters": 2})


def support_vectors() -> Job:
    """The second round validates: every site returns the support vectors that it received."""

    def train(site: str, received: FLModel) -> FLModel:
        if received.current_round:
            return answer(dict(received.params))
        points = np.array([[0.0, 0.0], [4.0, 4.0]]) + int(site[-1])
        return answer({"support_x": points, "support_y": np.array([0, 1])})

    return assembled(SVMAssembler(kernel="linear"), train, {"kernel": "linear"}, rounds=2)


def assembled(assembler: Any, train: Train, model: Mapping[str, Any], rounds: int = 3) -> Job:
    aggregator = CollectAndAssembleModelAggregator(assembler_id="assembler")
    return averaging(
        train,
        model,
        rounds,
        aggregator=aggregator,
        job_components={"assembler": assembler, "aggregator": aggregator},
    )


def hyperparameters_first() -> Job:
    """scikit-learn's linear models: the first task holds settings, the answers hold coefficients."""

    def train(site: str, received: FLModel) -> FLModel:
        before = received.params.get("coef", np.zeros((1, 4)))
        return answer({"coef": before + 0.1, "intercept": np.zeros(1)})

    return averaging(train, {"n_classes": 2, "penalty": "l2"})


def evaluated() -> Job:
    """Cross-site evaluation after training: sites return metrics, and their own models on request."""
    trained: dict[str, dict[str, Any]] = {}

    def train(site: str, received: FLModel) -> FLModel:
        task = received.meta["task"]
        if task == "submit_model":
            return FLModel(params=trained[site])
        if task == "validate":
            return FLModel(metrics={"accuracy": 0.9, "confusion": [[3, 1], [0, 4]]})
        trained[site] = moved(received)
        return answer(trained[site])

    job = averaging(train)
    job.workflows = [*job.workflows, CrossSiteEval(persistor_id="persistor", server_models=[])]
    return job


def metrics_only() -> Job:
    """Federated evaluation: the task carries a model, the results carry metrics alone."""
    controller = EvalController(persistor_id="persistor", timeout=10)
    return Job(
        [controller], lambda *_: FLModel(metrics={"auc": 0.7}), components={"persistor": Memory(MODEL)}
    )


def one_question() -> Job:
    """A task without any model."""
    return Job(
        [CmdTaskController(task_name="embed", task_data={"size": 3})],
        lambda *_: FLModel(metrics={"done": 1}, meta={"embedding": [0.5] * 3}),
    )


def survival() -> Job:
    def train(site: str, received: FLModel) -> FLModel:
        if "length" not in received.params:
            return FLModel(params={"latest": 5 + int(site[-1])})
        return FLModel(params={"events": np.ones(received.params["length"], dtype=np.int64)})

    return Job([Survival()], train)


def gradients() -> Job:
    def train(site: str, received: FLModel) -> FLModel:
        return answer({"gradient": received.params["w"] * 2})

    return averaging(train, {"w": np.ones(3)}, controller=GradientStep)


def encrypted() -> Job:
    def train(site: str, received: FLModel) -> Shareable:
        meta = {MetaKey.PROCESSED_ALGORITHM: "HE", STEPS: 10}
        return DXO(DataKind.WEIGHTS, data={"w": bytes([1, 2, int(site[-1])])}, meta=meta).to_shareable()

    return gathering(train, EncryptedSum(), model={"w": b"\0\0\0"})


def numpy_on_disk() -> Job:
    """NVFlare's persistor of arrays, which writes files."""
    job = averaging(usual)
    job.components = {**job.components, "persistor": NPModelPersistor(model=[[1.0, 2.0], [3.0, 4.0]])}
    return job


def two_phases() -> Job:
    """Training in two workflows, the second with fewer rounds."""
    job = averaging(usual)
    second = FedAvg(num_clients=2, num_rounds=1, persistor_id="persistor")
    job.workflows = [*job.workflows, second]
    return job


WORKFLOWS: dict[str, Callable[[], Job]] = {
    "scatter and gather": lambda: gathering(usual, in_time()),
    "scatter and gather of differences": lambda: gathering(
        lambda site, received: difference({"layer.bias": np.full(3, 0.1)}), in_time(DataKind.WEIGHT_DIFF)
    ),
    "one of three sites fails where two are enough": one_of_three_fails,
    "XGBoost trees as bytes": trees,
    "SCAFFOLD": scaffold,
    "cyclic": lambda: cyclic(Cyclic(num_clients=2, num_rounds=2, persistor_id="persistor")),
    "cyclic by relay": lambda: cyclic(
        CyclicController(num_rounds=2, task_check_period=0.01, memory_gc_rounds=0)
    ),
    "logistic regression by Newton's method": newton,
    "k-means": kmeans,
    "support vectors": support_vectors,
    "hyperparameters in the first task": hyperparameters_first,
    "cross-site evaluation": evaluated,
    "metrics only": metrics_only,
    "a task without a model": one_question,
    "Kaplan-Meier": survival,
    "gradients for a controller of the user's own": gradients,
    "encrypted bytes": encrypted,
    "a persistor that writes files": numpy_on_disk,
    "two workflows that train": two_phases,
}
"""Good jobs by their workflow."""
