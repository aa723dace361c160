"""The guard of the server and that of a site: tasks, results and findings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.apis.shareable import Shareable, make_copy, make_reply
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.workflows.fedavg import FedAvg

from fl_app.guard import FINDING_EVENT, Finding, report
from fl_app.guard.component import JobGuard
from fl_app.guard.finding import FINDING_HEADER, REASON_HEADER
from fl_app.guard.privacy import withhold_site_weights
from fl_app.guard.results import Results
from fl_app.guard.server import ServerGuard
from fl_app.guard.site import SiteGuard
from fl_app.guard.timeouts import Timeouts
from fl_app.guard.workflows import expectations_of

MODEL = {"w": np.zeros((2, 2))}


class Component:
    """A JobGuard that records its messages."""

    def __init__(self) -> None:
        self.panics: list[str] = []
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def log_error(self, fl_ctx: FLContext, text: str, fire_event: bool = True) -> None:
        self.errors.append(text)

    def log_warning(self, fl_ctx: FLContext, text: str, fire_event: bool = True) -> None:
        self.warnings.append(text)

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        pass

    def system_panic(self, reason: str, fl_ctx: FLContext) -> None:
        self.panics.append(reason)


class Round:
    """The events of one task, for the guard of the server and that of a site."""

    def __init__(self, components: dict[str, Any] | None = None) -> None:
        self.component = Component()
        components = components or {}
        self.server = ServerGuard(self.component, components, Timeouts(300, 0))  # type: ignore[arg-type]
        self.server._results = Results(expectations_of(FedAvg(num_clients=2), components))
        self.site = SiteGuard(self.component, components)  # type: ignore[arg-type]
        self.site._name = "site-2"

    def send(self, task: Shareable) -> Shareable:
        context = self._context(FLContextKey.TASK_DATA, task)
        self.server.handle(EventType.BEFORE_TASK_DATA_FILTER, context)
        self.server.handle(EventType.AFTER_TASK_DATA_FILTER, context)
        return task

    def at_site(self, result: Shareable, task: Shareable) -> Shareable:
        context = self._context(FLContextKey.TASK_RESULT, result)
        context.set_prop(FLContextKey.TASK_DATA, task, private=True, sticky=False)
        self.site.handle(EventType.BEFORE_TASK_EXECUTION, context)
        context.set_prop(FLContextKey.TASK_DATA, None, private=True, sticky=False)  # as NVFlare does
        self.site.handle(EventType.AFTER_TASK_EXECUTION, context)
        self.site.handle(EventType.AFTER_TASK_RESULT_FILTER, context)
        return result

    def receive(self, result: Shareable) -> Shareable:
        self.server.handle(
            EventType.BEFORE_PROCESS_SUBMISSION, self._context(FLContextKey.TASK_RESULT, result)
        )
        return result

    def reject(self, result: Shareable, current_round: int) -> None:
        context = self._context(FLContextKey.TASK_RESULT, result)
        context.set_prop(AppConstants.AGGREGATION_ACCEPTED, False, private=True, sticky=False)
        context.set_prop(AppConstants.CURRENT_ROUND, current_round, private=True, sticky=False)
        self.server.handle(AppEventType.AFTER_CONTRIBUTION_ACCEPT, context)

    def _context(self, key: str, value: Shareable) -> FLContext:
        context, peer = FLContext(), FLContext()
        peer.set_prop(ReservedKey.IDENTITY_NAME, "site-2", private=False, sticky=True)
        context.set_peer_context(peer)
        context.set_prop(key, value, private=True, sticky=False)
        context.set_prop(FLContextKey.TASK_NAME, "train", private=True, sticky=False)
        return context


@pytest.fixture
def round() -> Round:
    return Round()


def model(parameters: dict[str, Any] | None = None, kind: str = DataKind.WEIGHTS, **meta: Any) -> Shareable:
    shareable = DXO(kind, data=MODEL if parameters is None else parameters, meta=meta).to_shareable()
    shareable.set_header(AppConstants.CURRENT_ROUND, 4)
    return shareable


def test_a_valid_result_is_accepted(round: Round) -> None:
    task = round.send(model())
    round.receive(round.at_site(model(), task))
    assert round.component.panics == []


def test_a_result_that_the_workflow_rejects_is_an_error_unless_it_is_late(round: Round) -> None:
    round.reject(model(), current_round=5)
    without_round = model()
    without_round.set_header(AppConstants.CURRENT_ROUND, None)
    without_round.add_cookie(AppConstants.CONTRIBUTION_ROUND, 4)
    round.reject(without_round, current_round=5)
    assert round.component.panics == []

    round.reject(model(), current_round=4)
    (reason,) = round.component.panics
    assert reason.startswith("[guard] site-2, round 5: the result was not used: the workflow rejected it")


def test_an_answer_to_an_old_round_of_a_site_that_was_away_is_not_judged(round: Round) -> None:
    round.send(model())
    following = model()
    following.set_header(AppConstants.CURRENT_ROUND, 5)
    round.send(following)
    round.receive(model({}))  # an answer to the task before
    assert round.component.panics == []

    late = model({})
    late.set_header(AppConstants.CURRENT_ROUND, 5)
    round.receive(late)
    assert "returned no parameters" in round.component.panics[0]


def test_what_a_filter_hides_is_found_at_the_site_and_ends_the_job(round: Round) -> None:
    task = round.send(model())
    result = round.at_site(model({"w": np.full((2, 2), np.nan)}), task)
    found = result.get_header(FINDING_HEADER)
    encrypted = model({"w": b"encrypted"}, **{MetaKey.PROCESSED_ALGORITHM: "HE"})
    encrypted.set_header(FINDING_HEADER, found)
    round.receive(encrypted)
    (reason,) = round.component.panics
    assert reason.startswith("[guard] site-2, round 5, w: returned 4 numbers that are NaN")


def test_the_server_checks_the_result_of_a_site_without_a_guard(round: Round) -> None:
    round.send(model())
    result = round.receive(model({"w": np.full((2, 2), np.nan)}))
    assert len(round.component.panics) == 1
    assert result.get_return_code() == ReturnCode.EXECUTION_EXCEPTION
    assert "DXO" not in result
    assert result.get_header(AppConstants.CURRENT_ROUND) == 4


def test_only_the_first_reason_counts(round: Round) -> None:
    round.send(model())
    round.receive(model({}))
    round.send(model())
    round.receive(model({"w": np.zeros(4)}))
    (reason,) = round.component.panics
    assert "returned no parameters" in reason


@pytest.mark.parametrize(
    "result",
    [
        model(kind=DataKind.WEIGHT_DIFF),
        model({}, kind=DataKind.COLLECTION),
        model({"anything": np.zeros(9)}, kind=DataKind.STATISTICS),
        model({"w": b"encrypted"}, **{MetaKey.PROCESSED_ALGORITHM: "HE"}),
        make_reply(ReturnCode.EXECUTION_EXCEPTION),
        make_reply(ReturnCode.TASK_ABORTED),
        Shareable({"something": "else"}),
    ],
    ids=["differences", "collection", "statistics", "encrypted", "failed", "aborted", "no DXO"],
)
def test_unknown_encrypted_and_failed_results_are_accepted(round: Round, result: Shareable) -> None:
    round.send(model())
    round.receive(result)
    assert round.component.panics == []


def test_a_job_that_starts_without_a_model_may_return_one(round: Round) -> None:
    round.send(model({}))
    round.receive(model())
    assert round.component.panics == []


def test_a_constant_that_is_infinite_comes_back_as_it_was_sent(round: Round) -> None:
    mask = {"w": np.zeros((2, 2)), "mask": np.array([0.0, -np.inf, np.nan])}
    task = round.send(model(mask))
    round.receive(round.at_site(model({**mask, "mask": mask["mask"].copy()}), task))
    assert round.component.panics == []


def test_a_large_integer_is_stopped_at_the_site_and_on_the_server(round: Round) -> None:
    task = round.send(model())
    result = round.at_site(model(tokens=1 << 70), task)
    assert "meta.tokens: an integer of 71 bits" in result.get_header(REASON_HEADER)
    round.send(model(lr_steps=1 << 70))
    assert "its task has an integer of 71 bits" in round.component.panics[0]


def weighted() -> Shareable:
    info = {"aggregation": {"method": "weighted"}, "site_weights": [{"name": "site-1", "weight": 10}]}
    return model(metrics_aggregation_info=info, nr_aggregated=2)


def test_site_weights_are_removed_from_a_copy_and_stay_in_the_original() -> None:
    original = weighted()
    copy = make_copy(original)
    assert withhold_site_weights(copy)
    assert copy["DXO"]["meta"]["metrics_aggregation_info"] == {"aggregation": {"method": "weighted"}}
    assert copy["DXO"]["meta"]["nr_aggregated"] == 2
    assert copy["DXO"]["data"] is original["DXO"]["data"]
    assert "site_weights" in original["DXO"]["meta"]["metrics_aggregation_info"]


@pytest.mark.parametrize(
    "task", [model(), Shareable(), Shareable({"DXO": "odd"}), model(metrics_aggregation_info=1)]
)
def test_a_task_without_site_weights_is_unchanged(task: Shareable) -> None:
    before = dict(task)
    assert not withhold_site_weights(task)
    assert dict(task) == before


class Engine(ServerEngineSpec):
    """An engine, as far as the guard uses it."""

    def __init__(self, **components: Any) -> None:
        self.components = components
        self.fired: list[str] = []

    def get_all_components(self) -> dict[str, Any]:
        return self.components

    def get_clients(self) -> list[Any]:
        return []

    def get_workspace(self) -> Any:
        return SimpleNamespace(get_job_meta_path=lambda job_id: "missing.json")

    def register_aux_message_handler(self, topic: str, message_handle_func: Any) -> None:
        raise RuntimeError("no messages here")

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        self.fired.append(event_type)


Engine.__abstractmethods__ = frozenset()


def context_of(engine: Engine) -> FLContext:
    context = FLContext()
    context.set_prop(ReservedKey.ENGINE, engine, private=True, sticky=True)
    return context


def test_an_error_of_the_guard_is_logged_and_the_job_continues(caplog: pytest.LogCaptureFixture) -> None:
    guard = JobGuard()
    guard.handle_event(EventType.START_RUN, context_of(Engine(guard=guard)))
    assert "the guard failed at _start_run; the job continues: RuntimeError: no messages here" in caplog.text


def test_the_second_guard_of_a_job_is_idle() -> None:
    first, second = JobGuard(), JobGuard()
    second.handle_event(EventType.START_RUN, context_of(Engine(recipes=first, kits=second)))
    assert second._is_duplicate
    assert second._guard is None


def test_a_disabled_guard_is_idle_and_logs_it(caplog: pytest.LogCaptureFixture) -> None:
    guard = JobGuard(enabled=False)
    guard.handle_event(EventType.START_RUN, context_of(Engine(guard=guard)))
    assert guard._guard is None
    assert "the guard is disabled" in caplog.text


def test_any_component_can_report_a_finding() -> None:
    engine = Engine()
    context = context_of(engine)
    report(context, Finding("is wrong", "Fix it."))
    assert engine.fired == [FINDING_EVENT]
    assert context.get_prop(FLContextKey.EVENT_DATA).what == "is wrong"
