"""Statistics of one feature at a site."""

import numpy as np
from example_jobs.dataset import points
from nvflare.app_common.abstract.statistics_spec import (
    Bin,
    DataType,
    Feature,
    Histogram,
    HistogramType,
    Statistics,
)


class PatientStatistics(Statistics):
    """The first feature of the site's points, as the age of patients."""

    def initialize(self, fl_ctx):
        self.ages = points(fl_ctx.get_identity_name())[0][:, 0] * 10 + 50

    def features(self):
        return {"patients": [Feature("age", DataType.FLOAT)]}

    def count(self, dataset_name, feature_name):
        return len(self.ages)

    def sum(self, dataset_name, feature_name):
        return float(self.ages.sum())

    def mean(self, dataset_name, feature_name):
        return float(self.ages.mean())

    def stddev(self, dataset_name, feature_name):
        return float(self.ages.std())

    def variance_with_mean(self, dataset_name, feature_name, global_mean, global_count):
        return float(((self.ages - global_mean) ** 2).sum() / (global_count - 1))

    def histogram(self, dataset_name, feature_name, num_of_bins, global_min_value, global_max_value):
        counts, edges = np.histogram(self.ages, num_of_bins, (global_min_value, global_max_value))
        bins = [Bin(float(edges[i]), float(edges[i + 1]), int(count)) for i, count in enumerate(counts)]
        return Histogram(HistogramType.STANDARD, bins)
