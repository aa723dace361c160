"""Values that a job of the kit logs at a site, as they arrive at the server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from nvflare.apis.dxo import from_shareable
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fl_app.jobs.training import LocalResult, Round, SiteTraining, Weights
from fl_app.tracking.points import AnyPoint, HistogramPoint, ImagePoint, ScalarPoint, TextPoint
from fl_app.tracking.reading import points_of


class Logging(SiteTraining):
    """Stores the values that it logs."""

    def __init__(self) -> None:
        super().__init__()
        self.points: list[AnyPoint] = []
        self._engine = self

    def new_context(self) -> Any:
        return nullcontext(FLContext())

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        self.points += points_of(from_shareable(fl_ctx.get_prop(FLContextKey.EVENT_DATA)), "site-1", 0.0)

    def train(self, weights: Weights, round: Round) -> LocalResult:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("log", "kind"),
    [
        (lambda job: job.log("it", 1, step=3), ScalarPoint),
        (lambda job: job.log_text("it", "*text*", step=3), TextPoint),
        (lambda job: job.log_image("it", torch.rand(3, 8, 8), step=3), ImagePoint),
        (lambda job: job.log_histogram("it", torch.randn(4, 5), step=3), HistogramPoint),
    ],
)
def test_each_type_arrives_with_its_tag_and_step(log: Callable[[Logging], None], kind: type) -> None:
    job = Logging()
    log(job)

    (point,) = job.points
    assert isinstance(point, kind)
    assert (point.tag, point.step) == ("it", 3)


def test_a_histogram_is_sent_as_bins_without_values_that_are_not_finite() -> None:
    job = Logging()
    job.log_histogram("it", torch.tensor([0.0, 1.0, 1.0, float("nan"), float("inf")]), step=0, bins=2)

    (point,) = job.points
    assert isinstance(point, HistogramPoint)
    assert (point.edges, point.counts) == ((0.0, 0.5, 1.0), (1.0, 2.0))
