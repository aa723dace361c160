"""Rounds with a quorum: NVFlare's own server runner, three sites, and the guard at each, in one process."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.fedavg import FedAvg

from fl_app.jobs.shared import quorum
from fl_app.jobs.shared.quorum import MAX_UNUSABLE, QuorumFedAvg
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.job_liveness import job_liveness_of
from tests.unit.guard.in_process import Ended, Job, Memory, run

SITES = ("site-1", "site-2", "site-3")
LATE = 0.4
"""Seconds after which a site is late in these tests."""
TIMEOUT = 20.0


@pytest.fixture(autouse=True)
def interventions(monkeypatch: pytest.MonkeyPatch) -> list[Intervention]:
    """The interventions that the controller records."""
    recorded: list[Intervention] = []
    monkeypatch.setattr(quorum, "record", lambda engine, job, one: recorded.append(one))
    monkeypatch.setattr("fl_app.survival.job_liveness.LATE_SECONDS", LATE)
    return recorded


class Rounds(QuorumFedAvg):
    """Record how many results each global model contains."""

    def __init__(self, rounds: int, needed: int = 2, grace: float = 0.1) -> None:
        super().__init__(num_clients=3, num_rounds=rounds, quorum=needed, quorum_grace=grace)
        self.results: list[int] = []

    def update_model(self, model: FLModel, aggr_result: FLModel) -> Any:
        self.results.append(aggr_result.meta["nr_aggregated"])
        return super().update_model(model, aggr_result)


class Sites:
    """Three sites that train; a test may freeze some of them."""

    def __init__(self) -> None:
        self.frozen = {site: threading.Event() for site in SITES}
        """Set while the site is not frozen."""
        for event in self.frozen.values():
            event.set()
        self.controller: FedAvg | None = None
        self.rounds: dict[str, list[int]] = defaultdict(list)
        """Rounds that each site trained."""

    def train(self, site: str, model: FLModel) -> FLModel:
        number = int(model.current_round) + 1
        self.before(site, number)
        assert self.frozen[site].wait(TIMEOUT)
        self.rounds[site].append(number)
        time.sleep(0.02)
        params = {name: value + 1 for name, value in model.params.items()}
        return FLModel(params=params, meta={"NUM_STEPS_CURRENT_ROUND": 1})

    def before(self, site: str, number: int) -> None:
        """Decide what freezes in which round."""

    def send_heartbeats(self) -> None:
        """Let the server have a heartbeat of each site: a site without any is never late."""
        assert self.controller is not None
        for site in SITES:
            job_liveness_of(self.controller.engine).received(site)

    def run(self, controller: FedAvg, folder: Path, guarded: bool = True) -> Ended:
        self.controller = controller
        memory = Memory({"w": np.zeros(2)})
        return run(Job([controller], self.train, {"persistor": memory}, sites=SITES), folder, guarded)


def test_a_frozen_site_is_left_out_named_and_takes_part_again(tmp_path: Path) -> None:
    class Freezes(Sites):
        def before(self, site: str, number: int) -> None:
            if site == "site-3" and number == 2:
                self.frozen["site-3"].clear()
            if site == "site-1" and number == 15:
                self.frozen["site-3"].set()
            if site == "site-1" and number == 20:  # until site-3 is back
                deadline = time.monotonic() + TIMEOUT
                while self.rounds["site-3"][-1] <= 15 and time.monotonic() < deadline:
                    time.sleep(0.01)
                    number = 0
            if site == "site-1" and number > 15:
                time.sleep(0.05)

    sites, controller = Freezes(), Rounds(19)
    ended = sites.run(controller, tmp_path)

    assert ended.panics == []
    assert len(controller.results) == 19
    assert sites.rounds["site-1"] == list(range(1, 20)), "no round was done twice"
    assert controller.results[0] == 3
    assert controller.results[2] == 2
    assert sites.rounds["site-3"][:2] == [1, 2]
    assert max(sites.rounds["site-3"]) > 15
    assert controller.results[-1] == 3
    (warnings,) = tmp_path.rglob("warnings.json")
    lines = [entry["line"] for entry in json.loads(warnings.read_text())]
    (missing,) = [line for line in lines if "took no part" in line]
    assert missing.startswith("site-3, rounds 2 to 1")
    assert "took no part in the new global model of these rounds" in missing


def test_a_round_below_quorum_is_not_aggregated_and_asks_other_sites(
    tmp_path: Path, interventions: list[Intervention]
) -> None:
    class Alternate(Sites):
        def before(self, site: str, number: int) -> None:
            if site == "site-1" and number == 1:
                self.send_heartbeats()
            if site == "site-3" and number == 1:
                self.frozen["site-3"].clear()
            if site == "site-2" and number == 4:  # site-1 alone is below quorum, until site-3 is back
                self.frozen["site-2"].clear()
                threading.Timer(2 * LATE, self.frozen["site-3"].set).start()
            if site == "site-1" and number == 5:
                self.frozen["site-2"].set()

    sites, controller = Alternate(), Rounds(6)
    ended = sites.run(controller, tmp_path)

    assert ended.panics == []
    assert len(controller.results) == 6
    assert min(controller.results) == 2
    assert sites.rounds["site-1"] == [1, 2, 3, 4, 5, 6], "its result of round 4 was kept"
    assert 4 in sites.rounds["site-3"]
    kinds = [one.kind for one in interventions]
    assert kinds[0] is Kind.BELOW_QUORUM
    assert "round 4 has 1 of 2 results" in interventions[0].text


def test_a_round_waits_for_the_others_only_for_the_grace_period(tmp_path: Path) -> None:
    class Slow(Sites):
        def before(self, site: str, number: int) -> None:
            if site == "site-3":
                time.sleep(0.2 if number == 1 else 1.0)

    controller = Rounds(2, grace=0.5)
    assert Slow().run(controller, tmp_path).panics == []
    assert controller.results == [3, 2]


def test_sites_that_the_quorum_needs_are_asked_again_after_an_error(tmp_path: Path) -> None:
    class Fails(Sites):
        def before(self, site: str, number: int) -> None:
            if site != "site-3" and number == 2 and site not in failed:
                failed.add(site)
                raise RuntimeError("out of memory")

    failed: set[str] = set()
    sites, controller = Fails(), Rounds(3)
    ended = sites.run(controller, tmp_path)

    assert ended.panics == []
    assert failed == {"site-1", "site-2"}
    assert len(controller.results) == 3
    assert min(controller.results) >= 2
    assert sites.rounds["site-3"] == [1, 2, 3], "its result of round 2 was kept"


@pytest.mark.parametrize("has_error", [False, True])
def test_results_that_cannot_be_used_end_the_job_instead_of_repeating_forever(
    has_error: bool, tmp_path: Path
) -> None:
    class Useless(Sites):
        def train(self, site: str, model: FLModel) -> FLModel:
            self.rounds[site].append(1)
            if has_error:
                raise RuntimeError("out of memory")
            return FLModel(params={})

    sites, controller = Useless(), Rounds(3)
    ended = sites.run(controller, tmp_path, guarded=False)

    assert ended.panics[0] == (
        "round 1 has 0 of 2 results after 3 attempts; the other sites returned errors or results that cannot "
        "be used, see their logs"
    )
    assert len(sites.rounds["site-1"]) == MAX_UNUSABLE + 1
    assert ended.models == []


def test_an_error_ends_a_job_that_does_not_ignore_errors(tmp_path: Path) -> None:
    class Fails(Sites):
        def before(self, site: str, number: int) -> None:
            if site == "site-2":
                raise RuntimeError("out of memory")

    controller = Rounds(1)
    controller._ignore_result_error = False
    assert "site-2" in Fails().run(controller, tmp_path).panics[0]


def test_an_aborted_round_is_not_aggregated(tmp_path: Path) -> None:
    class Aborts(Sites):
        def before(self, site: str, number: int) -> None:
            if number == 2 and site != "site-1":
                self.frozen[site].clear()
            if number == 2 and site == "site-1":
                threading.Timer(0.3, self.abort).start()

        def abort(self) -> None:
            controller.abort_signal.trigger(True)
            for event in self.frozen.values():
                event.set()

    controller = Rounds(3)
    ended = Aborts().run(controller, tmp_path)
    assert controller.results == [3]
    assert len(ended.models) == 1


def test_without_a_quorum_every_site_is_waited_for(tmp_path: Path) -> None:
    class Slow(Sites):
        def before(self, site: str, number: int) -> None:
            time.sleep(2 * LATE if site == "site-3" else 0)

    controller = Rounds(2, needed=0)
    assert Slow().run(controller, tmp_path).panics == []
    assert controller.results == [3, 3]
