"""Failed tasks at a site: the site's guard sends their cause to the server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_common.app_constant import AppConstants

from fl_app.guard.site import SiteGuard
from fl_app.guard.site_error import SITE_ERROR_TOPIC


class Site:
    """The events of a site's job process, and the messages that it sends."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.abort_signal = Signal()
        self.guard = SiteGuard(self, {})  # type: ignore[arg-type]
        self.fire(EventType.ABOUT_TO_START_RUN)

    def send_aux_request(self, topic: str, request: Shareable, **_: Any) -> dict[str, Any]:
        assert topic == SITE_ERROR_TOPIC
        self.sent.append(dict(request))
        return {}

    def fire(self, event: str, **props: Any) -> None:
        context = FLContext()
        for key, value in {
            ReservedKey.ENGINE: self, ReservedKey.RUN_ABORT_SIGNAL: self.abort_signal, **props
        }.items():  # fmt: skip
            context.set_prop(key, value, private=True, sticky=False)
        self.guard.handle(event, context)

    def start_task(self) -> None:
        task = Shareable()
        task.set_header(AppConstants.CURRENT_ROUND, 1)
        self.fire(
            EventType.BEFORE_TASK_DATA_FILTER,
            **{FLContextKey.TASK_NAME: "train", FLContextKey.TASK_DATA: task},
        )

    def executed(self, result: Shareable) -> None:
        self.fire(EventType.AFTER_TASK_EXECUTION, **{FLContextKey.TASK_RESULT: result})

    def filtered(self, result: Shareable) -> None:
        self.fire(EventType.AFTER_TASK_RESULT_FILTER, **{FLContextKey.TASK_RESULT: result})

    def raises(self) -> None:
        try:
            raise KeyError("age")
        except KeyError:
            logging.getLogger("ClientRunner").error("Processing error")  # noqa: TRY400


@pytest.fixture
def site() -> Iterator[Site]:
    one = Site()
    yield one
    one.guard.close()


def test_an_executor_that_raises(site: Site) -> None:
    site.start_task()
    site.raises()
    site.fire(EventType.BEFORE_SEND_TASK_RESULT)
    (error,) = site.sent
    assert (error["what"], error["task"], error["round"]) == ("KeyError: 'age'", "train", 2)
    assert error["ends_site"] is False


def test_a_filter_that_raises_after_a_good_execution(site: Site) -> None:
    site.start_task()
    site.executed(Shareable())
    site.raises()
    site.fire(EventType.BEFORE_SEND_TASK_RESULT)
    assert [error["what"] for error in site.sent] == ["KeyError: 'age'"]


def test_a_result_that_is_an_error_is_reported_once(site: Site) -> None:
    site.start_task()
    logging.getLogger("Hospital").error("no patients")
    site.executed(make_reply(ReturnCode.EXECUTION_EXCEPTION))
    site.filtered(make_reply(ReturnCode.EXECUTION_EXCEPTION))
    site.fire(EventType.BEFORE_SEND_TASK_RESULT)
    assert [error["what"] for error in site.sent] == ["no patients"]


def test_an_exception_that_was_handled_is_not_reported(site: Site) -> None:
    site.start_task()
    site.raises()
    site.executed(Shareable())
    site.filtered(Shareable())
    site.fire(EventType.BEFORE_SEND_TASK_RESULT)
    assert site.sent == []


def test_an_aborted_task_is_not_reported(site: Site) -> None:
    site.start_task()
    site.abort_signal.trigger(True)
    site.raises()
    site.executed(make_reply(ReturnCode.TASK_ABORTED))
    site.fire(EventType.BEFORE_SEND_TASK_RESULT)
    assert site.sent == []


def test_a_component_that_ends_the_run_ends_the_site(site: Site) -> None:
    site.fire(EventType.FATAL_SYSTEM_ERROR, **{FLContextKey.EVENT_DATA: "no GPU"})
    (error,) = site.sent
    assert (error["what"], error["ends_site"]) == ("no GPU", True)
