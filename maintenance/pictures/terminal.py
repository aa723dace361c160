"""Record a command that redraws its lines on a terminal, as an animated SVG."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich.color import Color
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS, LINES = 96, 40
LETTER, LINE_HEIGHT = 8.0, 19
_CONTROL = re.compile(r"\x1b\[(\??\d*)([A-LSTf-lhK])|\r\n|\r|\n")


@dataclass(frozen=True)
class Screen:
    """What a terminal shows from a time on, in seconds since the start."""

    at: float
    lines: tuple[str, ...]
    """With the escape sequences of their colours."""


def record(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> list[Screen]:
    """Run a command on a terminal of its own and return what it shows over time.

    Raises:
        SystemExit: the command failed.
    """
    own, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        terminal, screens = _Terminal(), [Screen(0.0, ())]
        while data := _read(own):
            lines = terminal.write(data.decode("utf-8", errors="replace"))
            if lines != screens[-1].lines:
                screens.append(Screen(time.monotonic() - started, lines))
    os.close(own)
    if process.returncode:
        raise SystemExit("\n".join(screens[-1].lines))
    return screens


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux: the other end is closed
        return b""


class _Terminal:
    """The lines of a terminal. It knows what rich's live display writes: moves up, and erased lines."""

    def __init__(self) -> None:
        self._lines = [""]
        self._row = 0

    def write(self, text: str) -> tuple[str, ...]:
        start = 0
        for found in _CONTROL.finditer(text):
            self._lines[self._row] += text[start : found.start()]
            start = found.end()
            self._control(found)
        self._lines[self._row] += text[start:]
        return tuple(line for line in self._lines)

    def _control(self, found: re.Match[str]) -> None:
        number, kind = found[1], found[2]
        if kind == "A":
            self._row = max(0, self._row - int(number or 1))
        elif kind == "K" or found[0] == "\r":
            if kind == "K":
                self._lines[self._row] = ""
        elif found[0].endswith("\n"):
            self._row += 1
            if self._row == len(self._lines):
                self._lines.append("")


def animated(title: str, prompt: str, screens: Sequence[Screen], *, speed: float = 1.0) -> str:
    """Return an SVG that shows the screens one after the other, and the last one for five seconds.

    Args:
        title: of the window.
        prompt: the line that a user types.
        screens: what the terminal shows.
        speed: how much faster than in reality.
    """
    rows = max(len(_trimmed(one.lines)) for one in screens) + 1
    width, height = COLUMNS * LETTER + 40, rows * LINE_HEIGHT + 70
    ends = [one.at / speed for one in screens[1:]] + [screens[-1].at / speed + 5]
    total = ends[-1]
    frames = []
    for number, (screen, end) in enumerate(zip(screens, ends, strict=True)):
        start = screen.at / speed
        name = f"f{number}"
        a, b = 100 * start / total, 100 * end / total
        # A picture without animation, such as on paper, shows the last screen.
        last = ' class="last"' if number == len(screens) - 1 else ""
        frames.append(
            f"<style>@keyframes {name}{{0%{{opacity:{int(number == 0)}}}{a:.3f}%{{opacity:1}}"
            f"{b:.3f}%{{opacity:{int(bool(last))}}}100%{{opacity:{int(bool(last))}}}}}"
            f"#{name}{{animation:{name} {total:.1f}s step-end infinite;opacity:{int(bool(last))}}}</style>"
            f'<g id="{name}"{last}>{_text(screen.lines)}</g>'
        )
    typed = f'<text x="20" y="58" fill="#a6e22e">$ <tspan fill="#f8f8f2">{escape(prompt)}</tspan></text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" '
        f'aria-label="{escape(title)}" '
        'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="13">\n'
        f'<rect width="{width:.0f}" height="{height}" rx="9" fill="#272822"/>\n'
        '<g><circle cx="20" cy="20" r="6" fill="#ff5f57"/><circle cx="40" cy="20" r="6" fill="#febc2e"/>'
        '<circle cx="60" cy="20" r="6" fill="#28c840"/></g>\n'
        f'<text x="{width / 2:.0f}" y="24" text-anchor="middle" fill="#9f9f95">{escape(title)}</text>\n'
        f"{typed}\n" + "\n".join(frames) + "\n</svg>\n"
    )


def _trimmed(lines: Sequence[str]) -> list[str]:
    kept = list(lines)
    while kept and not Text.from_ansi(kept[-1]).plain.strip():
        kept.pop()
    return kept


def _text(lines: Sequence[str]) -> str:
    console = Console(width=COLUMNS, file=None)
    made = []
    for number, line in enumerate(_trimmed(lines), start=1):
        x = 20.0
        spans = []
        for segment in Text.from_ansi(line).render(console):
            if not segment.text or segment.text == "\n":
                continue
            colour = _colour(segment.style.color if segment.style else None)
            bold = ' font-weight="bold"' if segment.style and segment.style.bold else ""
            dim = ' opacity="0.6"' if segment.style and segment.style.dim else ""
            length = len(segment.text) * LETTER
            spans.append(
                f'<text x="{x:.0f}" y="{58 + LINE_HEIGHT * number}" textLength="{length:.0f}" '
                f'xml:space="preserve" '
                f'fill="{colour}"{bold}{dim}>{escape(segment.text)}</text>'
            )
            x += length
        made += spans
    return "".join(made)


def _colour(colour: Color | None) -> str:
    if colour is None or colour.is_default:
        return "#f8f8f2"
    return colour.get_truecolor(MONOKAI).hex
