"""Exceptions in the text of a log or of a process: the last one, and the line of the user that raised it."""

from __future__ import annotations

import re

MAX_LINES = 12
"""Lines of an exception that are shown."""

_TRACEBACK = "Traceback (most recent call last):"
_CRASH = "Fatal Python error: "
_WHILE_HANDLING = "During handling of the above exception, another exception occurred:"
_OTHER_THREAD = re.compile(r"^(?:Thread 0x|Extension modules:)")
_FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')
_CALLER = re.compile(
    r'File "[^"]*/site-packages/nvflare/|File "<frozen runpy>"|/lib/python3[^"]*/threading\.py"'
)
_CONTEXT = re.compile(r"^\[identity=[^\]]*\] - ")
_LIBRARY = re.compile(r"/site-packages/|/lib/python3|^<")


def last_exception(text: str, max_lines: int = MAX_LINES) -> str:
    """Return the last exception in a text, without the frames of NVFlare; the end of a text without one."""
    last = text.rpartition(_WHILE_HANDLING)[2]
    lines: list[str] = []
    skipping = False
    for line in last.splitlines():
        if line.lstrip().startswith('File "'):
            skipping = bool(_CALLER.search(line))
        elif not line.startswith("    "):
            skipping = False
        if line.strip() and not skipping and set(line.strip()) - set("^~"):
            lines.append(line)
    return "\n".join(lines[-max_lines:])


def without_context(message: str) -> str:
    """Return a log message of NVFlare without the names of the site, the job and the task at its start."""
    return _CONTEXT.sub("", message)


def has_exception(text: str) -> bool:
    """Return whether a text contains the traceback of an exception or of a crash of Python."""
    return _TRACEBACK in text or _CRASH in text


def is_crash(traceback: str) -> bool:
    """Return whether a traceback is one of a crash of Python, such as a segmentation fault."""
    return traceback.startswith(_CRASH)


def from_traceback(text: str) -> str:
    """Return the part of a text from its last traceback on; of a crash only the thread that crashed."""
    start = max(text.rfind(_TRACEBACK), text.rfind(_CRASH), 0)
    found = text[start:]
    if not is_crash(found):
        return found
    first, _, rest = found.partition("\n")
    current = rest[max(rest.find("Current thread 0x"), 0) :]
    lines: list[str] = []
    for line in current.splitlines():
        if lines and (not line.strip() or _OTHER_THREAD.match(line)):
            break
        lines.append(line)
    return "\n".join([first, *lines])


def exception_line(text: str) -> str:
    """Return the line that names the exception in a traceback: `ValueError: negative age in row 7`."""
    lines = [line for line in from_traceback(text).splitlines() if line.strip()]
    if lines and lines[0].startswith(_CRASH):
        return lines[0].removeprefix(_CRASH)
    frames = [index for index, line in enumerate(lines) if _FRAME.match(line)]
    after = lines[frames[-1] + 1 if frames else 0 :]
    return next((line.strip() for line in after if not line[0].isspace() and line != _TRACEBACK), "")


def raised_at(text: str) -> str:
    """Return FILE:LINE of the innermost frame in a traceback outside of libraries; empty if there is none."""
    found = [match for line in from_traceback(text).splitlines() if (match := _FRAME.match(line))]
    own = [match for match in found if not _LIBRARY.search(match["file"])]
    if not own:
        return ""
    frame = own[0] if is_crash(from_traceback(text)) else own[-1]
    return f"{frame['file'].rpartition('/')[2]}:{frame['line']}"
