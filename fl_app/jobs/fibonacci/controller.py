"""The server's part of the job `fibonacci`: send each site its level, collect the sums, find the largest."""

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

from fl_app.files import write_atomically
from fl_app.jobs.fibonacci.numbers import from_wire, to_wire
from fl_app.jobs.fibonacci.site import LEVEL, SUM, TASK
from fl_app.jobs.recipe_defaults import TASK_CHECK_PERIOD
from fl_app.survival.resumable import Resumable, State

RESULT_FILE = "fibonacci.json"


class FibonacciController(Resumable, ModelController):
    """Send the levels in FLModel.meta, one task per site, so that no site sees another's level.

    The result is RESULT_FILE in the job's run folder.

    Args:
        levels: the level of each site, by name.
        rounds: number of rounds.
        timeout: seconds within which every site must answer in a round.
    """

    def __init__(self, levels: dict[str, int], rounds: int, timeout: int) -> None:
        # Without a persistor NVFlare cannot fall back to a default array; an error of a site ends the job.
        super().__init__(persistor_id="", ignore_result_error=False, task_check_period=TASK_CHECK_PERIOD)
        self.levels = levels
        self.rounds = rounds
        self.timeout = timeout
        self._history: list[dict[str, int]] = []

    def checkpoint(self) -> State:
        """Return the sums of all finished rounds."""
        return State(document={"history": list(self._history)})

    def resume(self, state: State) -> None:
        """Go on after the rounds of an earlier process."""
        self._history = list(state.document["history"])

    def run(self) -> None:
        """Run all rounds and write the result."""
        history = self._history
        for number in range(len(history), self.rounds):
            sums = self._run_round(number)
            if sums is None:
                return
            history.append(sums)
            self.info(f"round {number + 1}: sum {sum(sums.values())}, largest at {_largest(sums)}")
        result = json.dumps(summary(self.levels, history), indent=2)
        write_atomically(Path(self.get_run_dir(), RESULT_FILE), result.encode())

    def _run_round(self, number: int) -> dict[str, int] | None:
        """Return the sums of one round by site; None if the job ends."""
        answers: dict[str, FLModel] = {}
        requests = {site: self._request(level, number) for site, level in self.levels.items()}
        self.set_fl_context(next(iter(requests.values())))
        self.event(AppEventType.ROUND_STARTED)
        for site, request in requests.items():
            self.send_model(
                TASK,
                request,
                targets=[site],
                timeout=self.timeout,
                callback=partial(answers.__setitem__, site),
            )
        while self.get_num_standing_tasks() and not self.abort_signal.triggered:
            time.sleep(TASK_CHECK_PERIOD)
        if self.abort_signal.triggered:
            return None
        try:
            return read_sums(self.levels, {site: (one.meta or {}).get(SUM) for site, one in answers.items()})
        except ValueError as error:
            self.panic(f"round {number + 1}: {error}")
            return None

    def _request(self, level: int, number: int) -> FLModel:
        return FLModel(params={}, meta={LEVEL: level}, current_round=number, total_rounds=self.rounds)


def read_sums(sites: Iterable[str], answers: Mapping[str, Any]) -> dict[str, int]:
    """Return each site's sum.

    Raises:
        ValueError: a site did not answer, or its answer is not an integer.
    """
    missing = [site for site in sites if site not in answers]
    if missing:
        raise ValueError(f"no answer from {', '.join(missing)}; see the log: flarefleet logs {missing[0]}")
    sums = {}
    for site in sites:
        try:
            sums[site] = from_wire(answers[site])
        except ValueError as error:
            raise ValueError(f"{site}: meta[{SUM!r}]: {error}") from None
    return sums


def summary(levels: Mapping[str, int], history: Sequence[Mapping[str, int]]) -> dict[str, Any]:
    """Return the content of RESULT_FILE; numbers of more than 64 bits become decimal text."""
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


def _largest(sums: Mapping[str, int]) -> str:
    """Return the site with the largest sum; the first of several."""
    return max(sums, key=lambda site: sums[site])
