"""An aggregator of a user's own that fails; NVFlare packs this module into the job."""

import numpy as np
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator


class FaultyAggregator(ModelAggregator):
    """Return the model of the last site.

    Args:
        raises_for: site for whose result it raises; empty for none.
        is_nan: whether the numbers of the model are NaN.
    """

    def __init__(self, raises_for: str = "", is_nan: bool = False) -> None:
        super().__init__()
        self.raises_for = raises_for
        self.is_nan = is_nan
        self.model = FLModel(params={})

    def reset_stats(self) -> None:
        self.model = FLModel(params={})

    def accept_model(self, model: FLModel) -> None:
        if model.meta["client_name"] == self.raises_for:
            raise KeyError("no such vocabulary")
        self.model = FLModel(params=model.params)

    def aggregate_model(self) -> FLModel:
        if self.is_nan:
            return FLModel(params={name: value * np.nan for name, value in self.model.params.items()})
        return self.model
