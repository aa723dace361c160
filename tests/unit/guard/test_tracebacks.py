"""Exceptions in the text of a log, of a training process and of a crash."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fl_app.guard.tracebacks import exception_line, from_traceback, last_exception, raised_at

RAISED = """\
loading
Traceback (most recent call last):
  File "/opt/python3.11/lib/python3.11/threading.py", line 982, in run
    self._target(*self._args, **self._kwargs)
  File "/app/site-2/custom/client.py", line 33, in train
    raise ValueError("negative age")
  File "/opt/lib/python3.11/site-packages/torch/nn/functional.py", line 5, in linear
    return f(x)
ValueError: negative age
"""


def test_the_user_sees_his_own_line_and_not_the_frames_that_call_it() -> None:
    assert exception_line(RAISED) == "ValueError: negative age"
    assert raised_at(RAISED) == "client.py:33"
    shown = last_exception(from_traceback(RAISED))
    assert shown.startswith("Traceback")
    assert "threading.py" not in shown
    assert "functional.py" in shown


def test_a_syntax_error_is_at_its_line() -> None:
    done = subprocess.run([sys.executable, "-c", "x = ("], capture_output=True, text=True, check=False)
    text = f"Traceback (most recent call last):\n{done.stderr}"
    assert exception_line(text).startswith("SyntaxError: ")


def test_only_the_thread_that_crashed_counts() -> None:
    script = "import ctypes; ctypes.string_at(0)"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", script], capture_output=True, text=True, check=False
    )
    crash = from_traceback(
        f'{done.stderr}\nThread 0x01 (most recent call first):\n  File "/app/b.py", line 1'
    )
    assert exception_line(crash) == "Segmentation fault"
    assert "b.py" not in crash
    assert "string_at" in crash


@pytest.mark.parametrize("text", ["", "no traceback", "Traceback (most recent call last):"])
def test_a_text_without_an_exception_has_none(text: str) -> None:
    assert raised_at(text) == ""
