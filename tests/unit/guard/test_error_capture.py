"""What a site's guard learns about its tasks, its client script and its training process."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from nvflare.security.logging import SECURE_LOGGING_VAR_NAME
from nvflare.utils.process_utils import _route_subprocess_line

from fl_app.contract import ENV_JOB_PROCESS
from fl_app.guard.error_capture import ErrorCapture, exit_text
from fl_app.nvflare_internals.training_script import OUTPUT_LOGGER, SCRIPT_THREAD
from tests.unit.launchers.test_kill_reason import Kernel

ENDED = "trainer process group exited (rc={}) before task 'train' produced a result"


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> Iterator[ErrorCapture]:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    logging.getLogger(OUTPUT_LOGGER).setLevel(logging.INFO)
    one = ErrorCapture()
    one.task_started()
    yield one
    one.close()


def script(code: str) -> None:
    thread = threading.Thread(
        target=lambda: exec(compile(code, "/app/client.py", "exec"), {}), name=SCRIPT_THREAD
    )
    thread.start()
    thread.join()


def prints(*lines: str) -> None:
    for line in lines:
        _route_subprocess_line(line, logging.getLogger(OUTPUT_LOGGER))


def what(capture: ErrorCapture) -> str:
    error = capture.error_of_task()
    return error.line if error else ""


def test_an_exception_that_is_logged_while_it_is_handled_is_the_cause(capture: ErrorCapture) -> None:
    try:
        raise KeyError("age")
    except KeyError:
        logging.getLogger("ClientRunner").error("[identity=site-2] - Processing error")  # noqa: TRY400
    logging.getLogger("ClientRunner").error("a consequence")
    assert what(capture).startswith("KeyError: 'age' (test_error_capture.py:")


def test_an_error_without_an_exception_is_shown_without_nvflares_context(capture: ErrorCapture) -> None:
    logging.getLogger("Hospital").error("[identity=site-2, run=1] - train() must return a LocalResult")
    assert what(capture) == "train() must return a LocalResult"


def test_errors_of_other_threads_and_of_earlier_tasks_are_no_cause(capture: ErrorCapture) -> None:
    logging.getLogger("x").error("of an earlier task")
    capture.task_started()
    thread = threading.Thread(target=lambda: logging.getLogger("x").error("of another thread"))
    thread.start()
    thread.join()
    assert capture.error_of_task() is None


def test_a_script_that_misses_a_package_is_named_with_what_it_wrote(
    capture: ErrorCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", capture._copy)  # pytest has replaced it again
    script("import sys; print('starting', file=sys.stderr)\nimport medpy")
    logging.getLogger("x").error(
        "in-process trainer is no longer available (reason: ...); failing task 'train'"
    )
    error = capture.error_of_task()
    assert error is not None
    assert error.line == "ModuleNotFoundError: No module named 'medpy' (client.py:2)"
    assert "its last output:\nstarting" in error.details


@pytest.mark.parametrize("code", ["3", "0"])
def test_a_script_that_calls_sys_exit_is_named(capture: ErrorCapture, code: str) -> None:
    script(f"import sys; sys.exit({code})")
    logging.getLogger("x").error("trainer thread exited before producing a result for task 'train'")
    assert what(capture) == f"its script called sys.exit({code}) before it sent a result (client.py:1)"


def test_another_thread_of_the_user_that_raises_is_no_cause(capture: ErrorCapture) -> None:
    thread = threading.Thread(target=lambda: 1 / 0, name="loader")
    thread.start()
    thread.join()
    logging.getLogger("x").error("trainer thread exited before producing a result for task 'train'")
    assert "flare.send() was not called" in what(capture)


TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "/app/client.py", line 3, in <module>',
    "ValueError: x",
)


@pytest.mark.parametrize(
    ("printed", "code", "expected"),
    [
        (("epoch 1", *TRACEBACK), 1, "ValueError: x (client.py:3)"),
        ((*TRACEBACK, "shutting down"), 1, "ValueError: x (client.py:3)"),
        (
            (*TRACEBACK, "handled it, going on"),
            -9,
            "its training process was killed by signal 9 (SIGKILL)",
        ),
        (("epoch 1",), 3, "its training process ended with exit code 3 before it sent a result"),
        ((), None, "its training process ended before it sent a result"),
    ],
)
def test_the_end_of_a_training_process_is_explained(
    capture: ErrorCapture, printed: tuple[str, ...], code: int | None, expected: str
) -> None:
    logging.getLogger(OUTPUT_LOGGER).info("launching external trainer")
    prints(*printed)
    logging.getLogger("x").error(ENDED.format(code))
    assert what(capture).startswith(expected)
    error = capture.error_of_task()
    assert error is not None
    assert "launching" not in error.details
    assert ("epoch 1" in error.details) is ("epoch 1" in printed)


def test_a_site_that_hides_details_from_logs_hides_them_from_the_server(
    capture: ErrorCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", capture._copy)
    monkeypatch.setenv(SECURE_LOGGING_VAR_NAME, "true")
    prints("patient 7")
    script("import sys; print('patient 7', file=sys.stderr)\nraise ValueError('patient 7')")
    logging.getLogger("x").error("trainer thread exited before producing a result for task 'train'")
    error = capture.error_of_task()
    assert error is not None
    assert "ValueError" in error.what
    assert "patient 7" not in error.text


def test_the_process_is_as_before_after_the_end(capture: ErrorCapture) -> None:
    hook = threading.excepthook
    capture.close()
    assert threading.excepthook is not hook
    assert not hasattr(sys.stderr, "lines")


@pytest.mark.parametrize(
    ("environment", "remedy"),
    [
        ({ENV_JOB_PROCESS: "1.j1"}, "raise deployment.sites.north.resources.limits.memory"),
        ({}, "raise jobPods.resources.limits.memory in its values, or memory in the job's resource_spec"),
    ],
    ids=["process", "pod"],
)
def test_a_training_process_that_ran_out_of_memory_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], remedy: str
) -> None:
    monkeypatch.delenv(ENV_JOB_PROCESS, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    kernel = Kernel(tmp_path)
    kernel.version_2(kills=1)
    capture = ErrorCapture("north", kernel.memory)
    try:
        before = capture.process_error(-9)
        kernel.version_2(kills=2)
        out_of_memory = capture.process_error(-9)
    finally:
        capture.close()
    assert before.what == "its training process was killed by signal 9 (SIGKILL) before it sent a result"
    assert out_of_memory.what == (
        f"its training process was killed by the kernel: out of memory at 4.0 GiB; {remedy}"
    )


def test_exit_codes_in_words() -> None:
    assert exit_text(3) == "ended with exit code 3"
    assert exit_text(-11) == "was killed by signal 11 (SIGSEGV)"
    assert exit_text(-200) == "was killed by signal 200"
