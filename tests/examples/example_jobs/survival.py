"""The Kaplan-Meier example: a workflow of the user's own, which needs no model."""

import json
from pathlib import Path

import numpy as np
from nvflare.apis.fl_constant import FLContextKey
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.model_controller import ModelController


class SurvivalCurve(ModelController):
    """Ask every site twice, and write the curve of all patients."""

    def run(self):
        latest = self.send_model_and_wait(data=FLModel(params={"question": "latest"}, current_round=0))
        length = max(result.params["latest"] for result in latest)
        counts = self.send_model_and_wait(data=FLModel(params={"length": length}, current_round=1))
        events = sum(result.params["events"] for result in counts)
        leaving = events + sum(result.params["censored"] for result in counts)
        at_risk = leaving.sum() - np.concatenate([[0], np.cumsum(leaving)[:-1]])
        curve = np.cumprod(1 - events / np.maximum(at_risk, 1))
        folder = Path(self.fl_ctx.get_prop(FLContextKey.APP_ROOT))
        (folder / "survival.json").write_text(json.dumps(curve.round(6).tolist()))
