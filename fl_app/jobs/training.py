"""The part of a job that runs at a site: subclass `SiteTraining`, or `ArrayTraining` for a NumPy array.

NVFlare's Client API passes each round to a script through a mailbox, which both sides poll twice a second.
A `SiteTraining` is an NVFlare Executor: a round takes no longer than its training. For example:

    class Hospital(SiteTraining):
        def __init__(self, epochs: int = 1) -> None:
            super().__init__()
            self.epochs = epochs  # the job's configuration carries each argument by its attribute's name

        def begin(self, site: Site) -> None:
            self.data = load(site.name)  # once; import torch here, not at the top of the module

        def train(self, weights: Weights, round: Round) -> LocalResult:
            before = self.evaluate(weights)  # of the global model: the server keeps the best one by it
            after, loss = self.fit(weights)
            self.log("train_loss", loss, step=round.number)  # to TensorBoard, MLflow and Weights & Biases
            return LocalResult(after, examples=len(self.data), metrics={"accuracy": before})
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
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
from fl_app.guard.arrays import describe
from fl_app.guard.rules import find_mismatch

Weights: TypeAlias = dict[str, Any]
"""Parameters of a model by name: torch tensors with `TrainingRecipe`."""

ARRAY = "numpy_key"
"""Name of the one array of a NumPy model."""


@dataclass(frozen=True)
class Site:
    """The site that a job runs at."""

    name: str
    job_id: str
    folder: Path
    """The job's folder at this site, deleted when the job ends."""

    def position_among(self, sites: Sequence[str]) -> int:
        """Return the position of this site among the job's sites.

        Raises:
            ValueError: this site is not one of them.
        """
        if self.name not in sites:
            raise ValueError(f"{self.name} is not among the job's sites: {', '.join(sites)}")
        return sites.index(self.name)


@dataclass(frozen=True)
class Round:
    """A round of the job."""

    number: int
    """Number of the round, from 1, as in all messages of Flarefleet."""
    total: int
    """Number of rounds of the job."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Further metadata from the server, such as FedProx's mu."""

    @property
    def index(self) -> int:
        """Number of the round, from 0, as NVFlare counts: for seeds and schedules."""
        return self.number - 1


@dataclass(frozen=True)
class LocalResult:
    """The result of a site in a round.

    Args:
        weights: the whole model after training, with the names and shapes that the site received.
        examples: weight of this site in the average.
        metrics: metrics of the received global model, before training; they decide which model is the best.
        meta: further metadata for the server's part of the job: plain JSON values.
    """

    weights: Weights
    examples: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


class InvalidResult(ValueError):  # noqa: N818 - an outcome that users read
    """A result that the server would drop silently, or that would change the shape of the model.

    Args:
        finding: the finding of the guard.
    """

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.line)


class SiteTraining(Executor):
    """The part of a job that runs at a site. Subclass it, and pass an instance to the recipe.

    An exception in `begin` or `train` ends the job. The site's error log has the traceback.
    """

    _exchange = ExchangeFormat.PYTORCH
    """Format of the weights in messages."""

    def __init__(self) -> None:
        super().__init__()
        self._engine: Any = None
        self._failure: str | None = None

    def __post_init__(self) -> None:
        """Initialise NVFlare's Executor, if the subclass is a dataclass."""
        SiteTraining.__init__(self)

    def begin(self, site: Site) -> None:
        """Load the data and build the model; called once, before the first round."""

    @abstractmethod
    def train(self, weights: Weights, round: Round) -> LocalResult:
        """Train one round, starting with the weights of the global model."""

    def end(self) -> None:
        """Release resources; called once when the job ends, even if it failed."""

    def log(self, tag: str, value: float, step: int) -> None:
        """Log a scalar to TensorBoard, MLflow and Weights & Biases.

        Args:
            tag: name of the metric, such as "train_loss".
            value: a number.
            step: position on the horizontal axis: usually the round, or a step count over all rounds.
        """
        self._send(tag, float(value), AnalyticsDataType.SCALAR, step)

    def log_text(self, tag: str, text: str, step: int) -> None:
        """Log Markdown text; the first 64 Ki characters are kept."""
        self._send(tag, text, AnalyticsDataType.TEXT, step)

    def log_image(self, tag: str, image: Any, step: int) -> None:
        """Log an image for TensorBoard: HW, HWC or CHW, uint8 or 0 to 1. Large images are scaled down."""
        import numpy

        self._send(tag, numpy.asarray(image), AnalyticsDataType.IMAGE, step)

    def log_histogram(self, tag: str, values: Any, step: int, bins: int = 64) -> None:
        """Log a histogram, such as of a layer's weights, for TensorBoard. Only the bins leave the site."""
        import numpy

        flat = numpy.asarray(values, dtype=float).ravel()
        counts, edges = numpy.histogram(flat[numpy.isfinite(flat)], bins=bins)
        spread = {"edges": edges.tolist(), "counts": counts.tolist()}
        # NVFlare has no type for histograms; its own receivers ignore the type MODEL.
        self._send(tag, "histogram", AnalyticsDataType.MODEL, step, histogram=spread)

    def _send(self, tag: str, value: Any, kind: AnalyticsDataType, step: int, **further: Any) -> None:
        point = create_analytic_dxo(tag, value, kind, global_step=step, **further)
        with self._engine.new_context() as fl_ctx:
            send_analytic_dxo(self, point, fl_ctx)

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Call `begin` and `end` at the start and the end of the job."""
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
            round = Round((received.current_round or 0) + 1, received.total_rounds or 0, received.meta or {})
            result = self.train(dict(received.params), round)
            check_result(result, received.params)
        except InvalidResult as error:
            line = error.finding.at(fl_ctx.get_identity_name(), round.number).line
            self.log_error(fl_ctx, line)
            return refusal(line)  # the server's guard ends the job with this reason
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
        """Call `begin`; the first round reports its failure, because the server sees no earlier one."""
        self._engine = fl_ctx.get_engine()
        workspace = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT)
        job_id = fl_ctx.get_job_id()
        try:
            register_framework_decomposers(self._exchange, self._exchange)
            self.begin(Site(fl_ctx.get_identity_name(), job_id, Path(workspace.get_run_dir(job_id))))
        except Exception:
            self._failure = secure_format_traceback()


class ArrayTraining(SiteTraining):
    """A `SiteTraining` for `ArrayTrainingRecipe`: the model is one array, `weights[ARRAY]`; no torch."""

    _exchange = ExchangeFormat.NUMPY


def check_result(result: LocalResult, received: Mapping[str, Any]) -> None:
    """Check a result for errors that NVFlare would ignore or average into the model.

    Raises:
        InvalidResult: missing or unknown names, other array types or shapes, or no examples.
    """
    if not isinstance(result, LocalResult):
        raise InvalidResult(Finding(f"train() returned {type(result).__name__}", "Return a LocalResult."))
    if finding := find_mismatch(describe(received), describe(result.weights), is_complete=True):
        raise InvalidResult(finding)
    if not _is_positive(result.examples):
        raise InvalidResult(
            Finding(
                f"{result.examples} is not a finite number above 0",
                "Return the number of training examples.",
                key="examples",
            )
        )
    for name, before in received.items():
        after = result.weights[name]
        if type(after) is not type(before):
            kinds = f"returned {type(after).__name__}, and was sent {type(before).__name__}"
            raise InvalidResult(Finding(kinds, "Return each parameter in its original type.", key=name))


def _is_positive(examples: Any) -> bool:
    """Return whether NVFlare can weight a result by this number, which may be a 0-dimensional array."""
    try:
        return not isinstance(examples, str) and 0 < float(examples) < math.inf
    except (TypeError, ValueError):
        return False
