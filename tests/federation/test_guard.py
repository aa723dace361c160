"""The table of silent failures: what NVFlare alone does with each, and what the kit does, in one federation.

All jobs are submitted at once, and each row looks at its own: the guard's rows are NVFlare's own recipes with
nothing of the kit in them, the stock rows the same with the guard switched off. Where a stock row fails,
NVFlare has mended something.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.session import AdminKit, open_session
from deploy.session.failure import GUARD, explain
from deploy.session.session import COMPLETED, AdminSession
from fl_app.guard.component import JobGuard
from fl_app.jobs.progress import SitePhase
from tests.federation import guarded_jobs
from tests.federation.federation import ADMIN, Federation, eventually, write_project

pytestmark = [pytest.mark.federation, pytest.mark.timeout(900)]

FAILED = "FINISHED:EXECUTION_EXCEPTION"
WITHIN = 800.0
"""Seconds for all jobs; four run at a time."""

MAY_NEVER_END = {"stock-large-integer"}
"""NVFlare's server waits for its answer: for ever, or until it misses the process, as the clock has it."""

SILENCE = 25.0
"""Seconds after which the test's own job gives up a site; sites give signs of life every 10."""

ENDED_BY_THE_GUARD = {
    "nan": r"site-2, round 1, numpy_key: returned 4 numbers that are NaN or infinite\. .*learning rate",
    "another-shape": r"site-2, round 1, numpy_key: returned shape \(4,\), and was sent \(2, 2\)",
    "all-another-shape": r"site-[12], round 1, numpy_key: returned shape \(4,\), and was sent \(2, 2\)",
    "more": r"site-2, round 1, more: returned 1 parameter \(more\) that the model it was sent does not have",
    "nothing": r"site-2, round 1: returned no parameters",
    "numpy-for-torch": r"site-[12], round 1: returned no parameters.*must return tensors",
    "other-metric": r"site-[12], round 1, key metric accuracy: is not among .*\(val_acc\).*key_metric",
    "large-integer": r"site-2, round 1, meta\.tokens: an integer of 71 bits.*as a float or as text",
    "nothing-logged": r"server, .*: tracking is configured, and no site has logged anything",
    "mlflow": r"server, .*\(MLflowReceiver\)\.tracking_uri: file:///tmp/mlruns is a folder",
    "mlflow-out-of-reach": r"server, .*\(MLflowReceiver\): tracking could not start: .*127\.0\.0\.1",
    "no-model": r"server, .*\(NPModelPersistor\)\.model: no model is given",
    "no-evaluation": r"site-2, model of .*: failed in the cross-site evaluation \(task validate",
}
COMPLETED_BY_NVFLARE = [
    "stock-careless",
    "stock-another-shape",
    "stock-all-another-shape",
    "stock-nothing",
    "stock-mlflow",
    "stock-numpy-for-torch",
    "stock-no-evaluation",
]
SOUND = [
    "good",
    "good-differences",
    "good-evaluation",
    "good-cyclic",
    "good-fedopt",
    "good-scaffold",
    "good-offloaded",
]


@dataclass
class Outcome:
    """How a job ended."""

    id: str
    status: str
    said: dict[str, str]
    """What `flarefleet watch` would show, by who says it."""
    server_log: str


@dataclass
class Table:
    """All jobs and how they ended."""

    federation: Federation
    seen: Path
    """Below it, in `good` and `stock`: the meta that the clients of two jobs received."""
    downloads: Path
    ended: dict[str, Outcome] = field(default_factory=dict)

    def session(self) -> Any:
        return open_session(AdminKit.read(self.federation.runtime.admin_kit(ADMIN)))

    def results(self, name: str) -> Path:
        """What the server kept of a job."""
        folder = self.downloads / name
        if not folder.exists():
            folder.mkdir()
            with self.session() as session:
                session.download(self.ended[name].id, folder)
        return folder

    def file(self, name: str, file: str) -> Path:
        """A file of a job's results."""
        found = sorted(self.results(name).rglob(file))
        assert found, f"{name} has no {file}"
        return found[0]

    def metas(self, kind: str) -> list[dict[str, Any]]:
        """The meta of the model that sites received after the first round."""
        return [json.loads(file.read_text()) for file in sorted((self.seen / kind).glob("*-1.json"))]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    """Every job of the table, ended."""
    folder = tmp_path_factory.mktemp("guarded")
    for kind in ("good", "stock"):
        (folder / "seen" / kind).mkdir(parents=True)
    (folder / "downloads").mkdir()
    jobs = {
        **guarded_jobs.stock(folder / "jobs", folder / "seen" / "stock"),
        **guarded_jobs.guarded(folder / "jobs"),
        **guarded_jobs.sound(folder / "jobs", folder / "seen" / "good"),
    }
    (folder / "federation").mkdir()
    federation = Federation(write_project(folder / "federation", sites=guarded_jobs.SITES).parent)
    made = Table(federation, folder / "seen", folder / "downloads")
    try:
        federation.up()
        with made.session() as session:
            made.ended = _run(session, jobs)
        yield made
    finally:
        federation.down()


def _run(session: AdminSession, jobs: dict[str, Path]) -> dict[str, Outcome]:
    running = {name: session.submit(folder, uuid.uuid4().hex) for name, folder in jobs.items()}
    ended: dict[str, Outcome] = {}
    deadline = time.monotonic() + WITHIN
    while running.keys() - MAY_NEVER_END:
        assert time.monotonic() < deadline, f"not ended within {WITHIN:.0f} s: {', '.join(running)}"
        for name, job_id in list(running.items()):
            job = session.job(job_id)
            if job.is_finished:
                said = {error.site: error.text for error in explain(session, job)}
                ended[name] = Outcome(job_id, job.status, said, session.server_log(job_id))
                del running[name]
        time.sleep(0.5)
    for name, job_id in running.items():
        ended[name] = Outcome(job_id, session.job(job_id).status, {}, session.server_log(job_id))
        session.abort(job_id)
    return ended


@pytest.mark.parametrize("row", ENDED_BY_THE_GUARD)
def test_the_guard_ends_a_job_with_one_line_that_says_where_what_and_what_to_do(
    table: Table, row: str
) -> None:
    outcome = table.ended[row]
    assert outcome.status == FAILED, outcome.server_log[-3000:]
    assert list(outcome.said) == [GUARD]
    assert re.search(ENDED_BY_THE_GUARD[row], outcome.said[GUARD]), outcome.said[GUARD]
    assert "\n" not in outcome.said[GUARD]


@pytest.mark.parametrize("row", COMPLETED_BY_NVFLARE)
def test_nvflare_alone_calls_the_same_job_completed(table: Table, row: str) -> None:
    outcome = table.ended[row]
    assert outcome.status == COMPLETED, outcome.said


@pytest.mark.parametrize("job", SOUND)
def test_a_sound_job_completes_and_the_guard_says_nothing(table: Table, job: str) -> None:
    outcome = table.ended[job]
    assert outcome.status == COMPLETED, outcome.said
    assert "[guard]" not in outcome.server_log
    assert "the guard fails at" not in outcome.server_log


def test_watching_a_job_that_the_guard_ended_shows_the_reason(table: Table) -> None:
    done = table.federation.flarefleet("watch", table.ended["nan"].id)
    assert done.returncode == 1
    assert "site-2, round 1, numpy_key: returned 4 numbers that are NaN or infinite" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_site_sees_how_much_the_others_count(table: Table) -> None:
    stock, ours = table.metas("stock"), table.metas("good")
    assert len(stock) == len(ours) == guarded_jobs.SITES
    for meta in stock:
        assert {one["name"] for one in meta["metrics_aggregation_info"]["site_weights"]} == {
            "site-1",
            "site-2",
        }
    for meta in ours:
        assert "aggregation" in meta["metrics_aggregation_info"]
        assert "site_weights" not in json.dumps(meta)


def test_nvflare_alone_averages_nan_into_the_model(table: Table) -> None:
    assert np.isnan(np.load(table.file("stock-careless", "server.npy"))).all()


def test_nvflare_alone_trains_an_array_of_its_own_and_lets_the_sites_reshape_it(table: Table) -> None:
    assert np.load(table.file("stock-all-another-shape", "server.npy")).shape == (9,)


def test_nvflare_alone_leaves_a_model_untrained_for_which_numpy_came_in_place_of_tensors(
    table: Table,
) -> None:
    import torch

    stored = torch.load(table.file("stock-numpy-for-torch", "FL_global_model.pt"), weights_only=True)
    assert not any(value.any() for value in stored["model"].values())


def test_nvflare_alone_reports_an_evaluation_that_failed_as_an_empty_one(table: Table) -> None:
    results = json.loads(table.file("stock-no-evaluation", "cross_val_results.json").read_text())
    assert not any(results.get("site-2", {}).values())


def test_nvflare_alone_does_not_say_which_number_it_could_not_send(table: Table) -> None:
    outcome = table.ended["stock-large-integer"]
    assert outcome.status != COMPLETED
    assert "tokens" not in outcome.server_log + "".join(outcome.said.values())


def test_a_round_that_waits_for_a_lost_site_ends_with_its_name(table: Table, tmp_path: Path) -> None:
    lost = guarded_jobs.guarded_by(
        guarded_jobs.numpy_job("lost-site", "--case slow --site site-2"), JobGuard(silence=SILENCE)
    )
    with table.session() as session:
        job_id = session.submit(guarded_jobs.export(lost, tmp_path), uuid.uuid4().hex)
        eventually(lambda: _at_work(session, job_id, "site-2"), 120, "site-2 trains")
        table.federation.kill("site-2")
        eventually(lambda: session.job(job_id).is_finished, 180, "the job has ended")
        said = {error.site: error.text for error in explain(session, session.job(job_id))}
    assert said.get(GUARD, said).startswith("site-2: not heard of for"), said


def _at_work(session: AdminSession, job_id: str, site: str) -> bool:
    progress = session.progress(job_id)
    return progress is not None and progress.sites[site].phase is SitePhase.TRAINING
