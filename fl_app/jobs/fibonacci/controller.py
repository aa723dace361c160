"""What the server does in the job `fibonacci`: send each site its level, add the sums up, select by them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.workflows.model_controller import ModelController

from fl_app.jobs.fibonacci.numbers import from_wire, to_wire
from fl_app.jobs.fibonacci.site import LEVEL, SUM, TASK
from fl_app.jobs.tuning import TASK_CHECK_PERIOD

RESULT_FILE = "fibonacci.json"


class BadSum(ValueError):  # noqa: N818 - read by people, in logs
    """What a site returned is no sum; says which site."""


class FibonacciController(ModelController):
    """Sends the levels in FLModel.meta, one task a site, so that no site sees the level of another.

    The result is RESULT_FILE in the job's folder: all sums, and which site and which round had the largest.

    Args:
        levels: each site's level, by the site's name.
        rounds: how often.
        timeout: seconds in which every site must have answered in a round.
    """

    def __init__(self, levels: dict[str, int], rounds: int, timeout: int) -> None:
        # Without a persistor nothing can fall back to a default array; a site's error always ends the job.
        super().__init__(persistor_id="", ignore_result_error=False, task_check_period=TASK_CHECK_PERIOD)
        self.levels = levels
        self.rounds = rounds
        self.timeout = timeout

    def run(self) -> None:
        """Ask in every round, and write down what came of it."""
        history: list[dict[str, int]] = []
        for number in range(self.rounds):
            sums = self._ask(number)
            if sums is None:
                return
            history.append(sums)
            self.info(f"round {number + 1}: sum {sum(sums.values())}, largest at {_largest(sums)}")
        file = Path(self.get_run_dir(), RESULT_FILE)
        file.write_text(json.dumps(summary(self.levels, history), indent=2), encoding="utf-8")

    def _ask(self, number: int) -> dict[str, int] | None:
        """The sums of one round by site; None if the job ends."""
        answers: dict[str, Any] = {}
        questions = {site: self._question(level, number) for site, level in self.levels.items()}
        self.set_fl_context(next(iter(questions.values())))
        self.event(AppEventType.ROUND_STARTED)
        for site, question in questions.items():
            keep = partial(_keep, answers, site)
            self.send_model(TASK, question, targets=[site], timeout=self.timeout, callback=keep)
        while self.get_num_standing_tasks() and not self.abort_signal.triggered:
            time.sleep(TASK_CHECK_PERIOD)
        if self.abort_signal.triggered:
            return None
        try:
            return read_sums(self.levels, answers)
        except BadSum as error:
            self.panic(f"round {number + 1}: {error}")
            return None

    def _question(self, level: int, number: int) -> FLModel:
        return FLModel(params={}, meta={LEVEL: level}, current_round=number, total_rounds=self.rounds)


def read_sums(sites: Iterable[str], answers: Mapping[str, Any]) -> dict[str, int]:
    """Each site's sum, from what it answered under SUM.

    Raises:
        BadSum: a site did not answer, or answered no integer.
    """
    silent = [site for site in sites if site not in answers]
    if silent:
        raise BadSum(f"no answer from {', '.join(silent)}; see the log there: flarefleet logs {silent[0]}")
    sums = {}
    for site in sites:
        try:
            sums[site] = from_wire(answers[site])
        except ValueError as error:
            raise BadSum(f"{site}: meta[{SUM!r}]: {error}") from None
    return sums


def summary(levels: Mapping[str, int], history: Sequence[Mapping[str, int]]) -> dict[str, Any]:
    """What RESULT_FILE says; numbers beyond 64 bits are decimal text there."""
    totals = [sum(sums.values()) for sums in history]
    return {
        "levels": dict(levels),
        "rounds": [
            {
                "round": number,
                "sums": {site: to_wire(value) for site, value in sums.items()},
                "total": to_wire(total),
                "largest": _largest(sums),
            }
            for number, (sums, total) in enumerate(zip(history, totals, strict=True), start=1)
        ],
        "total": to_wire(sum(totals)),
        "best_round": totals.index(max(totals)) + 1,
        "best_site": _largest(history[totals.index(max(totals))]),
    }


def _keep(answers: dict[str, Any], site: str, answer: FLModel) -> None:
    answers[site] = (answer.meta or {}).get(SUM)


def _largest(sums: Mapping[str, int]) -> str:
    """The site with the largest sum; of several, the first."""
    return max(sums, key=lambda site: sums[site])
