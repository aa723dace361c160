"""The result of a task, as the server has it after all filters."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

from nvflare.apis.dxo import DataKind
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants

from fl_app.guard import rules
from fl_app.guard.arrays import count_not_finite, describe
from fl_app.guard.best_model import BestModel
from fl_app.guard.evaluation import failed_evaluation
from fl_app.guard.finding import FINDING_HEADER, Finding
from fl_app.guard.outcome import Outcome
from fl_app.guard.task import Model, SentTask, dxo_in, model_in, round_of
from fl_app.guard.workflows import Expectations
from fl_app.nvflare_internals.guard import failure_of_result
from fl_app.survival.resumable import Attributes, Resumable, ResumableParts

_FILTER_FAILED = (ReturnCode.TASK_RESULT_FILTER_ERROR, ReturnCode.TASK_DATA_FILTER_ERROR)
_MAX_REASON = 400


class Results(ResumableParts):
    """Check the results of one workflow.

    Args:
        expected: requirements of the workflow.
        count: number of results before this workflow.
    """

    def __init__(self, expected: Expectations, count: int = 0) -> None:
        self.expected = expected
        self.outcome = Outcome(expected.uses_steps, expected.keeps_shape, expected.excluded)
        self.best_model = BestModel(expected.key_metric, expected.stop_metric)
        self.count = count
        self.has_stored = False
        """Whether the workflow announced that it stored a model."""
        self._sent: dict[str, SentTask] = {}

    def resumable_parts(self) -> dict[str, Resumable]:
        """Return what the guard knows of the rounds so far."""
        return {
            "outcome": self.outcome,
            "best_model": self.best_model,
            "stored": Attributes(self, ("has_stored",)),
        }

    def sent(self, site: str, task_name: str, task: Shareable) -> Iterator[Finding]:
        """Record the task that a site receives."""
        self._sent[site] = sent = SentTask.of(task_name, task)
        if task_name in self.expected.training_tasks:
            yield from self.outcome.sent(site, sent)

    def check(self, site: str, task: str, result: Shareable) -> Iterator[Finding]:
        """Check a result; each finding has its site and round."""
        self.count += 1
        sent = self._sent.pop(site, None)
        sent = sent if sent and sent.name == task else None
        if task in self.expected.evaluation_tasks:
            if failed := failed_evaluation(result, site, task):
                yield failed
            return
        code = result.get_return_code()
        number = round_of(result) if round_of(result) is not None else sent.round if sent else None
        if code in _FILTER_FAILED:
            yield _unused(f"a filter raised ({code})", site, number)
        if code not in (None, "", ReturnCode.OK):
            return  # the workflow itself decides how many sites may fail
        if task in self.expected.training_tasks and not self.outcome.is_current(number):
            return
        for finding in self._findings(result, site, task, sent):
            yield finding.at(site, number)

    def _findings(self, result: Shareable, site: str, task: str, sent: SentTask | None) -> Iterator[Finding]:
        expected, dxo, model = self.expected, dxo_in(result), model_in(result)
        is_training = task in expected.training_tasks
        if is_training and dxo is not None and dxo.data_kind == DataKind.METRICS:
            return  # such a site only evaluates; a round in which all sites do is found at its end
        if is_training and model is not None and not model.parameters:
            yield rules.NO_PARAMETERS
            return
        if found := result.get_header(FINDING_HEADER):
            yield _explained(Finding.of(found), sent, model)
        if model is None:
            return
        if model.is_readable and sent and sent.has_arrays and expected.keeps_shape:
            # What one site leaves out of an average, another may return: see the new global model.
            is_complete = model.is_complete and not expected.averages
            returned = rules.find_oversize(dict(result), sent.size) or rules.find_mismatch(
                sent.parameters or {}, describe(model.parameters), is_complete, expected.excluded
            )
            if returned:
                yield returned
        if model.is_readable and not found:
            received = sent.values if sent and model.is_complete else None
            if finding := rules.find_not_finite(model.parameters, received):
                yield _explained(finding, sent, model)
        if is_training:
            if finding := self.outcome.returned(site, sent, model):
                yield finding
            yield from self.best_model.returned(site, model.metrics)

    def accepted(self, site: str, result: object, accepted: bool, round: int | None) -> Finding | None:
        """Record whether the workflow used a result.

        A result that arrives after its round is rightly rejected, and so is an error.
        """
        if accepted:
            self.outcome.used(site)
            return None
        if not isinstance(result, Shareable) or result.get_return_code() not in (None, "", ReturnCode.OK):
            return None
        # NVFlare returns the cookie with every result; the executors of some clients set no round.
        sent_in = result.get_cookie(AppConstants.CONTRIBUTION_ROUND)
        answers = sent_in + 1 if isinstance(sent_in, int) else round_of(result)
        if round is not None and answers not in (None, round):
            return None
        dxo = dxo_in(result)
        if dxo is not None and dxo.data_kind == DataKind.METRICS:
            return None
        if self.expected.is_lenient:
            return Finding(
                "the aggregator of the job rejected the result",
                "See the log of the server if this is not what the aggregator is for.",
                site=site,
                round=round,
                rule="rejected_result",
            )
        return _unused("the workflow rejected it, see the log of the server", site, round)


def _explained(finding: Finding, sent: SentTask | None, model: Model | None) -> Finding:
    """Explain NaN in differences of a constant that is infinite, such as an attention mask."""
    is_difference = model is not None and not model.is_complete
    if not is_difference or sent is None or not count_not_finite(sent.values.get(finding.key)):
        return finding
    return replace(
        finding,
        what=f"{finding.what}: the difference of an infinite constant is NaN",
        remedy="Leave this parameter out of the differences, or return full weights (params_type FULL).",
    )


def _unused(reason: str, site: str, round: int | None) -> Finding:
    text = " ".join(reason.split())[:_MAX_REASON].rstrip(". ")
    return Finding(
        f"the result was not used: {text}",
        "Mend the callback, aggregator or filter that raised, or the result that it does not accept.",
        site=site,
        round=round,
        rule="unused_result",
    )


class ResultFailures(logging.Handler):
    """Collect the exceptions that NVFlare only logs while it processes a result."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._processing: dict[int, tuple[str, int | None]] = {}
        self._failures: list[Finding] = []
        logging.getLogger().addHandler(self)

    def processing(self, site: str, round: int | None) -> None:
        """Record whose result this thread processes from now on."""
        self._processing[threading.get_ident()] = site, round

    def done(self) -> None:
        """Record that this thread has processed its result."""
        self._processing.pop(threading.get_ident(), None)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a failure until it is reported."""
        where = self._processing.get(threading.get_ident())
        try:
            if where is not None and (reason := failure_of_result(record.getMessage())):
                self._failures.append(_unused(reason, *where))
        except Exception:  # such as a wrong format of the message
            self.handleError(record)

    def has_failure(self) -> bool:
        """Return whether a failure waits to be reported."""
        return bool(self._failures)

    def next_failure(self) -> Finding | None:
        """Return the first failure, and forget it."""
        return self._failures.pop(0) if self._failures else None

    def close(self) -> None:
        """Stop listening."""
        logging.getLogger().removeHandler(self)
        super().close()
