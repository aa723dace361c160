"""Components of the user's own in good jobs: aggregators, controllers, a filter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.dxo_filter import DXOFilter
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.aggregator import Aggregator
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.aggregators.intime_accumulate_model_aggregator import (
    InTimeAccumulateWeightedAggregator,
)
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.app_common.workflows.model_controller import ModelController


class Median(ModelAggregator):
    """An aggregator of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[Mapping[str, Any]] = []

    def accept_model(self, model: FLModel) -> None:
        self.received.append(model.params)

    def aggregate_model(self) -> FLModel:
        names = self.received[0]
        return FLModel(
            params={name: np.median([one[name] for one in self.received], axis=0) for name in names}
        )

    def reset_stats(self) -> None:
        self.received = []


class Half(DXOFilter):
    """Quantize to 16 bits at the sites, and back on the server."""

    def __init__(self, back: bool = False) -> None:
        super().__init__(
            supported_data_kinds=[DataKind.WEIGHTS, DataKind.WEIGHT_DIFF],
            data_kinds_to_filter=[DataKind.WEIGHTS, DataKind.WEIGHT_DIFF],
        )
        self.back = back

    def process_dxo(self, dxo: DXO, shareable: Any, fl_ctx: Any) -> DXO:
        to = np.float64 if self.back else np.float16
        data = {name: np.asarray(value, to) for name, value in dxo.data.items()}
        made = DXO(dxo.data_kind, data=data, meta=dict(dxo.meta))
        if self.back:
            made.remove_meta_props([MetaKey.PROCESSED_ALGORITHM])
        else:
            made.set_meta_prop(MetaKey.PROCESSED_ALGORITHM, "half")
        return made


class Forest(Aggregator):
    """Collect trees, as NVFlare's XGBBaggingAggregator does (its package imports xgboost)."""

    def __init__(self) -> None:
        super().__init__()
        self.trees: list[bytes] = []

    def accept(self, shareable: Shareable, fl_ctx: Any) -> bool:
        self.trees.append(from_shareable(shareable).data["model_data"])
        return True

    def aggregate(self, fl_ctx: Any) -> Shareable:
        trees, self.trees = sorted(self.trees), []
        return DXO(DataKind.WEIGHTS, data={"model_data": trees}).to_shareable()


class Survival(ModelController):
    """Kaplan-Meier: ask for the latest time, then for counts of that length."""

    def run(self) -> None:
        latest = max(
            r.params["latest"] for r in self.send_model_and_wait(data=FLModel(params={"ask": "latest"}))
        )
        counts = self.send_model_and_wait(data=FLModel(params={"length": latest}, current_round=1))
        file = Path(self.fl_ctx.get_prop("__app_root__")) / "curve.json"
        file.write_text(json.dumps(sum(r.params["events"] for r in counts).tolist()))


class GradientStep(FedAvg):
    """A controller of the user's own: sites return gradients under other names."""

    def _aggregate_one_result(self, result: FLModel) -> None:
        self.gradients = [*getattr(self, "gradients", []), result.params]

    def _get_aggregated_result(self) -> FLModel:
        gradients, self.gradients = self.gradients, []
        mean = np.mean([one["gradient"] for one in gradients], axis=0)
        return FLModel(params={"w": -0.1 * mean}, params_type=ParamsType.DIFF)


class EncryptedSum(InTimeAccumulateWeightedAggregator):
    """Add bytes that the server cannot read, as homomorphic encryption does."""

    def __init__(self) -> None:
        super().__init__(expected_data_kind=DataKind.WEIGHTS)
        self.parts: list[bytes] = []

    def accept(self, shareable: Shareable, fl_ctx: Any) -> bool:
        self.parts.append(shareable["DXO"]["data"]["w"])
        return True

    def aggregate(self, fl_ctx: Any) -> Shareable:
        total, self.parts = bytes(sum(values) % 256 for values in zip(*self.parts, strict=True)), []
        return DXO(
            DataKind.WEIGHTS, data={"w": total}, meta={MetaKey.PROCESSED_ALGORITHM: "HE"}
        ).to_shareable()
