"""What the guard does with a task and its result, on both sides, without a federation around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.widgets.intime_model_selector import IntimeModelSelector
from nvflare.app_common.workflows.fedavg import FedAvg

from fl_app.guard import FINDING_EVENT, Finding, report
from fl_app.guard.component import JobGuard
from fl_app.guard.finding import REASON_HEADER
from fl_app.guard.privacy import withhold_site_weights
from fl_app.guard.server import Limits, ServerGuard
from fl_app.guard.site import CHECKED_HEADER, SiteGuard
from fl_app.guard.workflows import promise_of

MODEL = {"w": np.zeros((2, 2))}


class Component:
    """Stands for the JobGuard: keeps what was said."""

    def __init__(self) -> None:
        self.panics: list[str] = []
        self.errors: list[str] = []

    def log_error(self, fl_ctx: FLContext, text: str, fire_event: bool = True) -> None:
        self.errors.append(text)

    def system_panic(self, reason: str, fl_ctx: FLContext) -> None:
        self.panics.append(reason)


class Around:
    """One task of a job, as NVFlare's events show it to the server's guard and to a site's."""

    def __init__(self, components: dict[str, Any] | None = None) -> None:
        self.said = Component()
        components = components or {}
        self.server = ServerGuard(self.said, components, Limits(300, 0))  # type: ignore[arg-type]
        self.server._promise = promise_of(FedAvg(num_clients=2), components)
        self.site = SiteGuard(self.said, components)  # type: ignore[arg-type]
        self.site._name = "site-2"

    def send(self, task: Shareable) -> Shareable:
        context = self._context(FLContextKey.TASK_DATA, task)
        self.server.handle(EventType.BEFORE_TASK_DATA_FILTER, context)
        self.server.handle(EventType.AFTER_TASK_DATA_FILTER, context)
        return task

    def at_site(self, result: Shareable, task: Shareable) -> Shareable:
        context = self._context(FLContextKey.TASK_RESULT, result)
        context.set_prop(FLContextKey.TASK_DATA, task, private=True, sticky=False)
        self.site.handle(EventType.AFTER_TASK_EXECUTION, context)
        self.site.handle(EventType.AFTER_TASK_RESULT_FILTER, context)
        return result

    def receive(self, result: Shareable) -> Shareable:
        self.server.handle(
            EventType.BEFORE_PROCESS_SUBMISSION, self._context(FLContextKey.TASK_RESULT, result)
        )
        return result

    def _context(self, key: str, value: Shareable) -> FLContext:
        context, peer = FLContext(), FLContext()
        peer.set_prop(ReservedKey.IDENTITY_NAME, "site-2", private=False, sticky=True)
        context.set_peer_context(peer)
        context.set_prop(key, value, private=True, sticky=False)
        context.set_prop(FLContextKey.TASK_NAME, "train", private=True, sticky=False)
        return context


@pytest.fixture
def around() -> Around:
    return Around()


def model(parameters: dict[str, Any] | None = None, kind: str = DataKind.WEIGHTS, **meta: Any) -> Shareable:
    shareable = DXO(kind, data=MODEL if parameters is None else parameters, meta=meta).to_shareable()
    shareable.set_header(AppConstants.CURRENT_ROUND, 4)
    return shareable


def test_a_sound_round_passes_and_its_numbers_are_looked_at_once(around: Around) -> None:
    task = around.send(model())
    result = around.receive(around.at_site(model(), task))
    assert around.said.panics == []
    assert result.get_header(CHECKED_HEADER) is True


def test_what_a_site_must_not_send_is_replaced_by_the_reason_and_ends_the_job(around: Around) -> None:
    task = around.send(model())
    result = around.at_site(model({"w": np.full((2, 2), np.nan)}), task)
    assert result.get_return_code() == ReturnCode.EXECUTION_EXCEPTION
    assert "DXO" not in result
    around.receive(result)
    (reason,) = around.said.panics
    assert reason.startswith("[guard] site-2, round 5, w: returned 4 numbers that are NaN")


def test_a_site_without_a_guard_is_judged_by_the_server(around: Around) -> None:
    around.send(model())
    result = around.receive(model({"w": np.full((2, 2), np.nan)}))
    assert len(around.said.panics) == 1
    assert result.get_return_code() == ReturnCode.EXECUTION_EXCEPTION
    assert "DXO" not in result
    assert result.get_header(AppConstants.CURRENT_ROUND) == 4


def test_the_first_reason_stays_the_reason(around: Around) -> None:
    around.send(model())
    around.receive(model({}))
    around.send(model())
    around.receive(model({"w": np.zeros(4)}))
    (reason,) = around.said.panics
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
def test_what_the_guard_does_not_understand_or_others_answer_for_passes(
    around: Around, result: Shareable
) -> None:
    around.send(model())
    around.receive(result)
    assert around.said.panics == []


def test_a_job_that_begins_without_a_model_may_return_one(around: Around) -> None:
    around.send(model({}))
    around.receive(model())
    assert around.said.panics == []


def test_metrics_in_place_of_a_trained_model_are_no_result_of_training(around: Around) -> None:
    around.send(model())
    around.receive(model({"accuracy": 1.0}, kind=DataKind.METRICS))
    assert "returned no parameters" in around.said.panics[0]


@pytest.mark.parametrize(
    ("metrics", "ends"),
    [({"accuracy": 0.5}, False), ({"auc": 0.5}, True), ({}, False), (None, False), (0.5, False)],
)
def test_a_key_metric_must_be_among_the_metrics_where_there_are_any(metrics: Any, ends: bool) -> None:
    around = Around({"selector": IntimeModelSelector(key_metric="accuracy")})
    around.send(model())
    around.receive(model(**{MetaKey.INITIAL_METRICS: metrics}))
    assert bool(around.said.panics) is ends


def test_an_integer_that_no_message_carries_is_stopped_on_either_side(around: Around) -> None:
    task = around.send(model())
    result = around.at_site(model(tokens=1 << 70), task)
    assert "meta.tokens: an integer of 71 bits" in result.get_header(REASON_HEADER)
    around.send(model(lr_steps=1 << 70))
    assert "to be sent to site-2: an integer of 71 bits" in around.said.panics[0]


def weighed() -> Shareable:
    info = {"aggregation": {"method": "weighted"}, "site_weights": [{"name": "site-1", "weight": 10}]}
    return model(metrics_aggregation_info=info, nr_aggregated=2)


def test_site_weights_are_taken_out_of_one_copy_and_stay_in_what_it_was_made_from() -> None:
    original = weighed()
    copy = Shareable(original)
    assert withhold_site_weights(copy)
    assert copy["DXO"]["meta"]["metrics_aggregation_info"] == {"aggregation": {"method": "weighted"}}
    assert copy["DXO"]["meta"]["nr_aggregated"] == 2
    assert copy["DXO"]["data"] is original["DXO"]["data"]
    assert "site_weights" in original["DXO"]["meta"]["metrics_aggregation_info"]


@pytest.mark.parametrize(
    "task", [model(), Shareable(), Shareable({"DXO": "odd"}), model(metrics_aggregation_info=1)]
)
def test_a_task_without_site_weights_stays_as_it_is(task: Shareable) -> None:
    before = dict(task)
    assert not withhold_site_weights(task)
    assert dict(task) == before


class Engine(ServerEngineSpec):
    """An engine with no more than the guard asks for."""

    def __init__(self, **components: Any) -> None:
        self.components = components
        self.fired: list[str] = []

    def get_all_components(self) -> dict[str, Any]:
        return self.components

    def get_clients(self) -> list[Any]:
        return []

    def register_aux_message_handler(self, topic: str, message_handle_func: Any) -> None:
        raise RuntimeError("no messages here")

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        self.fired.append(event_type)


Engine.__abstractmethods__ = frozenset()


def context_of(engine: Engine) -> FLContext:
    context = FLContext()
    context.set_prop(ReservedKey.ENGINE, engine, private=True, sticky=True)
    return context


def test_a_failure_of_the_guard_harms_no_job_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    guard = JobGuard()
    guard.handle_event(EventType.START_RUN, context_of(Engine(guard=guard)))
    assert "the guard fails at _start_run; the job goes on. RuntimeError: no messages here" in caplog.text


def test_of_two_guards_of_a_job_the_second_rests() -> None:
    first, second = JobGuard(), JobGuard()
    second.handle_event(EventType.START_RUN, context_of(Engine(recipes=first, kits=second)))
    assert second._is_second
    assert second._part is None


def test_a_guard_that_a_job_switched_off_rests_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    guard = JobGuard(enabled=False)
    guard.handle_event(EventType.START_RUN, context_of(Engine(guard=guard)))
    assert guard._part is None
    assert "switched its guard off" in caplog.text


def test_any_component_reports_with_its_context() -> None:
    engine = Engine()
    context = context_of(engine)
    report(context, Finding("is wrong", "Mend it."))
    assert engine.fired == [FINDING_EVENT]
    assert context.get_prop(FLContextKey.EVENT_DATA).what == "is wrong"
