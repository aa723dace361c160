"""How a job of the kit trains at a site: one class with `begin`, `train` and `end`, called by NVFlare without
polling.

NVFlare's Client API hands each round to a script through a mailbox that both sides look into twice a second;
a job of the kit is an Executor instead, so a round costs what its training costs. A client reads like this:

    class Hospital(SiteTraining):
        def __init__(self, epochs: int = 1) -> None:
            super().__init__()
            self.epochs = epochs                      # same name as the argument: it travels in the job's
            configuration

        def begin(self, site: Site) -> None:
            self.data = load(site.name)               # torch and the data are imported and loaded here, once

        def train(self, weights: Weights, round: Round) -> LocalResult:
            before = self.evaluate(weights)           # of the global model: by these the best model is kept
            after = self.fit(weights)
            self.log("train_loss", loss, step=round.number)          # to TensorBoard, MLflow, W&B, whoever
            listens
            return LocalResult(after, examples=len(self.data), metrics={"accuracy": before})
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from nvflare.apis.analytix import AnalyticsDataType
from nvflare.apis.dxo import MetaKey
from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.apis.utils.analytix_utils import create_analytic_dxo, send_analytic_dxo
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from nvflare.client.config import ExchangeFormat
from nvflare.client.decomposers import register_framework_decomposers
from nvflare.security.logging import secure_format_traceback

from fl_app.guard import Finding, refusal
from fl_app.guard.rules import describe, find_mismatch

Weights: TypeAlias = dict[str, Any]
"""A model's parameters by name: torch tensors with `TrainingRecipe`, as the server sent them."""

ARRAY = "numpy_key"
"""The name of the one array of a NumPy model."""


@dataclass(frozen=True)
class Site:
    """Where a job runs."""

    name: str
    job_id: str
    folder: Path
    """This job's own folder at this site; gone when the job ends."""


@dataclass(frozen=True)
class Round:
    """Which round it is."""

    number: int
    """From 0."""
    total: int
    meta: Mapping[str, Any] = field(default_factory=dict)
    """What else the server says, such as the proximal term of FedProx."""


@dataclass(frozen=True)
class LocalResult:
    """What a site returns from a round.

    Args:
        weights: the whole model after training, under the names it was received by and of the same shapes.
        examples: how much this site's part counts in the average.
        metrics: of the global model as it was received, before training: the server keeps the best model by
            them.
        meta: what else the server's part of the job is told: plain values, as JSON knows them.
    """

    weights: Weights
    examples: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


class UnusableResult(ValueError):  # noqa: N818 - read by people, in logs
    """A result that the server would drop in silence, or that would change the model's shape.

    Args:
        finding: what the guard finds in it.
    """

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.line)


class SiteTraining(Executor):
    """A job's part at a site. Subclass it, and give the recipe an instance.

    An exception in `begin` or `train` ends the job, with this site's name and the traceback in its error log.
    """

    _exchange = ExchangeFormat.PYTORCH
    """What weights are as they travel."""

    def __init__(self) -> None:
        super().__init__()
        self._engine: Any = None
        self._failure: str | None = None

    def begin(self, site: Site) -> None:
        """Called once, before the first round: load the data, build the model."""

    @abstractmethod
    def train(self, weights: Weights, round: Round) -> LocalResult:
        """Train one round from the global model's weights."""

    def end(self) -> None:
        """Called once, when the job ends, however it ends."""

    def log(self, tag: str, value: float, step: int) -> None:
        """Log a scalar to the server's analytics receivers (TensorBoard, MLflow, Weights & Biases).

        Args:
            tag: its name, such as "train_loss".
            value: a number.
            step: its place on the horizontal axis: usually the round, or a step count over all rounds.
        """
        self._send(tag, float(value), AnalyticsDataType.SCALAR, step)

    def log_text(self, tag: str, text: str, step: int) -> None:
        """Log words, as Markdown; at most 64 Ki characters are kept."""
        self._send(tag, text, AnalyticsDataType.TEXT, step)

    def log_image(self, tag: str, image: Any, step: int) -> None:
        """Log a picture for TensorBoard: HW, HWC or CHW, uint8 or 0 to 1; a large one is scaled down."""
        import numpy

        self._send(tag, numpy.asarray(image), AnalyticsDataType.IMAGE, step)

    def log_histogram(self, tag: str, values: Any, step: int, bins: int = 64) -> None:
        """Log how values are spread, such as a layer's weights, for TensorBoard; only the bins travel."""
        import numpy

        flat = numpy.asarray(values, dtype=float).ravel()
        counts, edges = numpy.histogram(flat[numpy.isfinite(flat)], bins=bins)
        spread = {"edges": edges.tolist(), "counts": counts.tolist()}
        # NVFlare has no type for it; its own receivers pass over what is a model.
        self._send(tag, "histogram", AnalyticsDataType.MODEL, step, histogram=spread)

    def _send(self, tag: str, value: Any, kind: AnalyticsDataType, step: int, **further: Any) -> None:
        point = create_analytic_dxo(tag, value, kind, global_step=step, **further)
        with self._engine.new_context() as fl_ctx:
            send_analytic_dxo(self, point, fl_ctx)

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Begin and end with the job's run."""
        if event_type == EventType.START_RUN:
            self._start(fl_ctx)
        elif event_type == EventType.END_RUN:
            self.end()

    def execute(
        self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal
    ) -> Shareable:
        """Train one round for NVFlare."""
        if self._failure:
            self.log_error(fl_ctx, self._failure)
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)
        try:
            received = FLModelUtils.from_shareable(shareable)
            round = Round(received.current_round or 0, received.total_rounds or 0, received.meta or {})
            result = self.train(dict(received.params), round)
            check_result(result, received.params)
        except UnusableResult as error:
            return self._refuse(fl_ctx, error.finding, round)
        except Exception:
            self.log_error(fl_ctx, secure_format_traceback())
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)
        if abort_signal.triggered:
            return make_reply(ReturnCode.TASK_ABORTED)
        return FLModelUtils.to_shareable(
            FLModel(
                params_type=ParamsType.FULL,
                params=result.weights,
                metrics={name: float(value) for name, value in result.metrics.items()} or None,
                current_round=received.current_round,
                total_rounds=received.total_rounds,
                meta={**result.meta, MetaKey.NUM_STEPS_CURRENT_ROUND: result.examples},
            )
        )

    def _start(self, fl_ctx: FLContext) -> None:
        """Begin; a failure is kept for the first round, which is where the server hears of it."""
        self._engine = fl_ctx.get_engine()
        workspace = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT)
        job_id = fl_ctx.get_job_id()
        try:
            register_framework_decomposers(self._exchange, self._exchange)
            self.begin(Site(fl_ctx.get_identity_name(), job_id, Path(workspace.get_run_dir(job_id))))
        except Exception:
            self._failure = secure_format_traceback()

    def _refuse(self, fl_ctx: FLContext, finding: Finding, round: Round) -> Shareable:
        """Answer with the reason, which the guard of the server ends the job with."""
        finding = finding.at(fl_ctx.get_identity_name(), round.number)
        self.log_error(fl_ctx, finding.line)
        return refusal(finding.line)


class ArrayTraining(SiteTraining):
    """The same for a model that is one NumPy array, `weights[ARRAY]`: for `ArrayTrainingRecipe`, without
    torch."""

    _exchange = ExchangeFormat.NUMPY


def check_result(result: LocalResult, received: Mapping[str, Any]) -> None:
    """Refuse what NVFlare would take in silence and drop, or average into another model.

    Raises:
        UnusableResult: names missing or unknown, another kind of array, another shape, nothing to weigh by.
    """
    if not isinstance(result, LocalResult):
        raise UnusableResult(Finding(f"train() returned {type(result).__name__}", "Return a LocalResult."))
    if finding := find_mismatch(describe(received), describe(result.weights), is_complete=True):
        raise UnusableResult(finding)
    if result.examples <= 0:
        raise UnusableResult(
            Finding(f"{result.examples} is not above 0", "Count the examples it trained on.", key="examples")
        )
    for name, before in received.items():
        after = result.weights[name]
        if type(after) is not type(before):
            kinds = f"returned {type(after).__name__}, and was sent {type(before).__name__}"
            raise UnusableResult(Finding(kinds, "Return each parameter as what it was received.", key=name))
