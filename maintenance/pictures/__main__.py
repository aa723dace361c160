"""`python -m maintenance.pictures FOLDER`: run a federation for four minutes and draw docs/images from it.

FOLDER keeps what was measured; if it has it already, the pictures are drawn again from it.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from deploy.monitoring.paths import DASHBOARDS
from maintenance.pictures import boards, terminal
from maintenance.pictures.federation import NAME, federation, program
from maintenance.pictures.queries import Answered, Period, answered

IMAGES = Path(__file__).parents[2] / "docs" / "images"
COMMAND = "flarefleet submit hospital --set rounds=8"
LONG_JOB_SECONDS = 110


def main() -> None:
    """Measure unless FOLDER has the measurements, and draw."""
    folder = Path(sys.argv[1]).absolute()
    stored = folder / "measured.pickle"
    if not stored.exists():
        measured = _measure(folder)
        stored.write_bytes(pickle.dumps(measured))
    screens, period, panels = pickle.loads(stored.read_bytes())  # noqa: S301 - written above
    day = datetime.fromtimestamp(period.end, timezone.utc).strftime("%Y-%m-%d")
    caption = (
        f"a federation of processes, {day}; drawn by maintenance.pictures from the answers of Prometheus"
    )
    (IMAGES / "submit.svg").write_text(terminal.animated("submit", COMMAND, screens), encoding="utf-8")
    for name, (title, answers) in panels.items():
        drawn = boards.draw(title, answers, period, caption)
        (IMAGES / f"dashboard-{name}.svg").write_text(drawn, encoding="utf-8")


def _measure(folder: Path) -> tuple[list[terminal.Screen], Period, dict[str, tuple[str, list[Answered]]]]:
    with federation(folder / "federation") as running:
        started = time.time()
        running.run("submit", "fibonacci")
        words = [program(), *COMMAND.split()[1:]]
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(terminal.COLUMNS)}
        screens = terminal.record(words, running.folder, environment)
        running.run("submit", "probe", "--set", "failing_site=hospital-2", check=False)
        running.run("submit", "hospital", "--set", "rounds=400", "--detach")
        time.sleep(LONG_JOB_SECONDS)
        period = Period(started, time.time())
        panels = {}
        for file in sorted(DASHBOARDS.glob("*.json")):
            board = json.loads(file.read_text(encoding="utf-8"))
            answers = answered(board, running.prometheus, NAME, period)
            panels[board["uid"].removeprefix("flarefleet-")] = (board["title"], answers)
    return screens, period, panels


if __name__ == "__main__":
    main()
