"""What the code of a user raised at a site, and the last output of its training process."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from nvflare.security.logging import is_secure, secure_format_traceback

from fl_app.contract import ENV_JOB_PROCESS
from fl_app.guard.site_error import OUTPUT_LINES, SiteError
from fl_app.guard.tracebacks import (
    exception_line,
    from_traceback,
    has_exception,
    is_crash,
    last_exception,
    raised_at,
    without_context,
)
from fl_app.launchers.memory_limit import MemoryKills, out_of_memory
from fl_app.nvflare_internals.training_script import (
    OUTPUT_FUNCTION,
    OUTPUT_LOGGER,
    SCRIPT_THREAD,
    exit_code_in,
    process_ended,
    script_ended,
)

_KEPT_LINES = 200
"""Lines of output of a training process in memory: a long traceback."""
_MAX_LINE = 500
_MAX_OUTPUT = _MAX_LINE * OUTPUT_LINES
_MAX_FRAMES = 40
"""Lines of a traceback that are sent."""


class ErrorCapture:
    """Remember the errors of a site's job process: of the client script, of its training process, of tasks.

    NVFlare logs the exception of an executor or a filter while it handles it, so a handler of the root
    logger finds it. It does not log what a client script raises at import, or `sys.exit`;
    `threading.excepthook` gets both. A training process writes its traceback to its output, which NVFlare
    logs. What Python code of a script in the job process writes to stderr is copied, too.

    Args:
        site: name of the site.
        kills: the kernel's counters.
    """

    def __init__(self, site: str = "", kills: MemoryKills | None = None) -> None:
        self._site = site
        self._kills = kills or MemoryKills()
        self._known_kills = self._kills.count()[0]
        self._script: SiteError | None = None
        self._tasks: dict[int, _TaskErrors] = {}
        self._output: deque[str] = deque(maxlen=_KEPT_LINES)
        self._handlers = [
            (logging.getLogger(), _Handler(logging.ERROR, self._logged)),
            (logging.getLogger(OUTPUT_LOGGER), _Handler(logging.INFO, self._printed)),
        ]
        for logger, handler in self._handlers:
            logger.addHandler(handler)
        self._previous_hook = threading.excepthook
        threading.excepthook = self._raised_in_thread
        self._stderr = sys.stderr
        self._copy: Any = _Copy(sys.stderr)
        sys.stderr = self._copy

    def close(self) -> None:
        """Stop listening."""
        for logger, handler in self._handlers:
            logger.removeHandler(handler)
        threading.excepthook = self._previous_hook
        if sys.stderr is self._copy:
            sys.stderr = self._stderr

    def task_started(self) -> None:
        """Forget the errors of earlier tasks in this thread."""
        self._tasks[threading.get_ident()] = _TaskErrors()

    def task_ended(self) -> None:
        """Stop to remember errors of this thread."""
        self._tasks.pop(threading.get_ident(), None)

    def error_of_task(self) -> SiteError | None:
        """Return why the task of this thread failed; None if nothing is known."""
        errors = self._tasks.get(threading.get_ident())
        return self.explain(errors.exception, errors.message) if errors else None

    def explain(self, exception: str, message: str) -> SiteError | None:
        """Return the cause of a failure.

        Args:
            exception: traceback that NVFlare logged, or empty.
            message: error that NVFlare logged, or empty.
        """
        logged = exception or message
        if process_ended(logged):
            return self.process_error(exit_code_in(logged))
        if exception and not script_ended(logged):
            return error_from(exception)
        if self._script:
            return self._script
        if script_ended(message):
            ended = SiteError("its script ended without sending a result: flare.send() was not called")
            return _with_output(ended, self._copy.lines)
        return SiteError(message) if message else None

    def has_printed_exception(self) -> bool:
        """Return whether the output of the training process ends with the traceback of an exception."""
        output = "\n".join(self._output).rstrip()
        return has_exception(output) and exception_line(output) == output.rpartition("\n")[2]

    def process_error(self, code: int | None) -> SiteError:
        """Return why the training process ended.

        A traceback in its output is the cause if the process exited with an error or printed nothing
        afterwards: a script may print one that it handled, and be killed later.

        Args:
            code: its exit code; None if it is unknown.
        """
        output = "\n".join(self._output)
        traceback = from_traceback(output) if has_exception(output) else ""
        if is_crash(traceback) or (traceback and code and code > 0) or self.has_printed_exception():
            before = output[: output.rfind(traceback.partition("\n")[0])].splitlines()
            return _with_output(error_from(traceback), before)
        what = self._out_of_memory() if code == -signal.SIGKILL else ""
        what = what or f"{exit_text(code)} before it sent a result"
        return _with_output(SiteError(f"its training process {what}"), self._output)

    def _out_of_memory(self) -> str:
        """Return that the kernel killed a process for its memory, if it did since the last call."""
        before, self._known_kills = self._known_kills, self._kills.count()[0]
        if self._known_kills == before:
            return ""
        is_pod = ENV_JOB_PROCESS not in os.environ
        return out_of_memory(self._kills.limit(), self._site, in_pod=is_pod)

    def _raised_in_thread(self, raised: Any) -> None:
        if raised.thread is not None and raised.thread.name == SCRIPT_THREAD:
            self._script = _script_error(secure_format_traceback(), self._copy.lines)
        self._previous_hook(raised)

    def _logged(self, record: logging.LogRecord) -> None:
        errors = self._tasks.get(threading.get_ident())
        if errors is None:
            return
        if sys.exc_info()[0] is not None:
            errors.exception = secure_format_traceback()
        else:
            errors.message = without_context(record.getMessage())

    def _printed(self, record: logging.LogRecord) -> None:
        if record.funcName == OUTPUT_FUNCTION and not is_secure():
            self._output.append(record.getMessage()[:_MAX_LINE])


class _TaskErrors:
    """The last exception and the last other error that were logged while a task ran."""

    def __init__(self) -> None:
        self.exception = ""
        self.message = ""


class _Handler(logging.Handler):
    def __init__(self, level: int, receive: Any) -> None:
        super().__init__(level)
        self._receive = receive

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on."""
        try:
            self._receive(record)
        except Exception:  # such as a wrong format of the message
            self.handleError(record)


def exit_text(code: int | None) -> str:
    """Return how a process ended: `ended with exit code 3`, `was killed by signal 9 (SIGKILL)`."""
    if code is None:
        return "ended"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    return f"was killed by signal {-code}{name}"


def error_from(traceback: str) -> SiteError:
    """Return the error that a traceback shows."""
    return SiteError(
        exception_line(traceback), raised_at(traceback), details=last_exception(traceback, _MAX_FRAMES)
    )


def _script_error(traceback: str, output: Iterable[str]) -> SiteError:
    """Return the error of a client script in the job process; `sys.exit` is one, too."""
    error = error_from(traceback)
    name, _, code = error.what.partition(": ")
    if name == "SystemExit":
        error = replace(error, what=f"its script called sys.exit({code}) before it sent a result")
    return _with_output(error, output)


def _with_output(error: SiteError, lines: Iterable[str]) -> SiteError:
    last = [] if is_secure() else list(lines)[-OUTPUT_LINES:]
    output = ["its last output:", *last] if last else []
    return replace(error, details="\n".join([*error.details.splitlines(), *output]))


class _Copy:
    """A stream that also keeps the last lines that are written to it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._open_line = ""
        self.lines: deque[str] = deque(maxlen=OUTPUT_LINES)

    def write(self, text: str) -> int:
        """Write a text; a carriage return ends a line, as in a progress bar."""
        *complete, self._open_line = (self._open_line + text).replace("\r", "\n")[-_MAX_OUTPUT:].split("\n")
        self.lines.extend(line[:_MAX_LINE] for line in complete if line.strip())
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
