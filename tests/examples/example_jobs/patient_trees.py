"""The points of a site for XGBoost: all features of its own points, or some features of the same points."""

import xgboost
from example_jobs.dataset import points
from nvflare.app_opt.xgboost.data_loader import XGBDataLoader
from xgboost.core import DataSplitMode


class PatientTrees(XGBDataLoader):
    """Own rows at each site; in vertical mode, columns of the same rows, and the labels at one site."""

    def load_data(self):
        if self.data_split_mode == DataSplitMode.ROW:
            features, labels = points(self.client_id)
        else:
            features, labels = points("site-1")
            features = features[:, 2 * self.rank : 2 * self.rank + 2]
            labels = labels if self.rank == 0 else None
        made = [xgboost.DMatrix(features, label=labels, data_split_mode=self.data_split_mode) for _ in "ab"]
        return tuple(made)
