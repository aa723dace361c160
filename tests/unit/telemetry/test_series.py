"""Series of jobs: labels, limits, formats and expiry of pushed values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from pydantic import ValidationError

from fl_app.telemetry import series as series_module
from fl_app.telemetry.catalogue import JOBS
from fl_app.telemetry.documents import MAX_CHANGES, MAX_LABEL, MetricsDocument
from fl_app.telemetry.metrics import ParentIdentity
from fl_app.telemetry.parent_jobs import ParentJobs
from fl_app.telemetry.series import JobSeries

ROUNDS = JOBS["round_duration_seconds"]


class Parent:
    """The job series of a parent, with a clock that the test sets."""

    def __init__(self, role: str = "server", kept: float = 600.0) -> None:
        self.now = 1000.0
        self.running: set[str] = set()
        self.dropped: dict[str, int] = {}
        self.jobs = ParentJobs(kept, clock=lambda: self.now)
        self.jobs.running = lambda: self.running
        name = "flare-server" if role == "server" else "site-1"
        self.series = JobSeries(ParentIdentity(name, role, project="hospitals"), self.jobs, self._drop)

    def _drop(self, reason: str, number: int) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + number

    def launch(self, job_id: str, name: str) -> None:
        self.jobs.launched(job_id, name)
        self.running.add(job_id)

    def end(self, job_id: str, result: str = "completed") -> None:
        self.running.discard(job_id)
        self.jobs.ended(job_id, result)

    def push(self, job_id: str, *values: list[Any], **more: Any) -> int:
        document = {"values": values, **more}
        return self.series.accept(job_id, MetricsDocument.model_validate_json(json.dumps(document)))

    def families(self, *, open_metrics: bool = False) -> list[Metric]:
        text = b"".join(self.series.expose(open_metrics=open_metrics)).decode()
        return list(parse_open_metrics(text + "# EOF\n") if open_metrics else parse_text(text))

    def value(self, name: str, **labels: str) -> float | None:
        for family in self.families():
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return None

    def job_labels(self) -> set[str]:
        return {sample.labels["job"] for family in self.families() for sample in family.samples}


@pytest.fixture
def parent() -> Parent:
    parent = Parent()
    parent.launch("id-1", "hospital")
    return parent


def test_a_pushed_value_has_the_labels_of_its_parent_and_job(parent: Parent) -> None:
    parent.push("id-1", ["job_round", [], 3])

    family = next(family for family in parent.families() if family.name == "nvflare_job_round")
    assert family.type == "gauge"
    assert [(sample.labels, sample.value) for sample in family.samples] == [
        ({"project": "hospitals", "site": "flare-server", "role": "server", "job": "hospital"}, 3.0)
    ]


@pytest.mark.parametrize(
    ("role", "pushed", "shown"),
    [("server", "site-7", "site-7"), ("server", "", "flare-server"), ("client", "site-7", "site-1")],
    ids=["of a site at the server", "of the server", "a site cannot report for another"],
)
def test_a_training_metric_has_the_label_of_the_site_that_logged_it(
    role: str, pushed: str, shown: str
) -> None:
    parent = Parent(role)
    parent.launch("id-1", "hospital")

    parent.push("id-1", ["training_metric", [pushed, "loss"], 0.5])

    assert parent.value("nvflare_training_metric", site=shown, role=role, tag="loss") == 0.5
    assert parent.value("nvflare_training_metric") == 0.5, "the only series"


def test_a_histogram_is_cumulative_and_has_count_and_sum(parent: Parent) -> None:
    counts = [0] * len(ROUNDS.buckets) + [1]
    counts[3] = 2

    parent.push("id-1", distributions=[["round_duration_seconds", [], counts, 9000.5]])

    name = "nvflare_round_duration_seconds"
    assert parent.value(f"{name}_bucket", le="0.5") == 0
    assert parent.value(f"{name}_bucket", le="1.0") == 2
    assert parent.value(f"{name}_bucket", le="7200.0") == 2
    assert parent.value(f"{name}_bucket", le="+Inf") == 3
    assert (parent.value(f"{name}_count"), parent.value(f"{name}_sum")) == (3, 9000.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.5, 1e300, 0.1])
def test_every_number_is_exposed_unchanged(parent: Parent, value: float) -> None:
    parent.push("id-1", ["training_metric", ["site-1", "loss"], value])

    assert repr(parent.value("nvflare_training_metric")) == repr(value)


@pytest.mark.parametrize(
    "tag", ['a"b', "a\\b", "a\nb", 'x"} 1\nnvflare_up{site="y', "ü€😀", "", "\\n", "\r\0"]
)
def test_label_values_are_escaped(parent: Parent, tag: str) -> None:
    parent.push("id-1", ["training_metric", ["site-1", tag], 1])

    for open_metrics in (False, True):
        families = parent.families(open_metrics=open_metrics)
        samples = [sample for family in families for sample in family.samples]
        assert [sample.labels["tag"] for sample in samples if "tag" in sample.labels] == [tag]
        assert {sample.name for sample in samples} == {"nvflare_training_metric", "nvflare_job_info"}


def test_every_metric_of_a_job_has_its_type_and_unit_in_both_formats(parent: Parent) -> None:
    for spec in JOBS.values():
        if spec.name == "job_info":
            continue
        labels = ["x"] * (len(spec.labels) + (spec.name in ("training_metric", "training_steps_total")))
        if spec.buckets:
            parent.push("id-1", distributions=[[spec.name, labels, [1] * (len(spec.buckets) + 1), 1]])
        else:
            parent.push("id-1", [spec.name, labels, 1])

    shown = {family.name: family.type for family in parent.families(open_metrics=True)}

    assert shown == {spec.family: spec.type.value for spec in JOBS.values()}
    assert len(parent.families()) == len(JOBS)


def test_the_id_of_a_finished_job_disappears_at_once_and_its_series_expire(parent: Parent) -> None:
    parent.push("id-1", ["job_round", [], 1])
    assert parent.value("nvflare_job_info", job="hospital", job_id="id-1") == 1
    parent.end("id-1")

    assert parent.value("nvflare_job_info") is None
    parent.now += 600
    assert parent.value("nvflare_job_round") == 1
    parent.now += 1
    assert parent.job_labels() == set()
    assert parent.push("id-1", ["job_round", [], 2]) == 1
    assert parent.job_labels() == set()


@pytest.mark.parametrize(("was_listed", "delay"), [(True, 0), (False, 59)], ids=["listed", "never listed"])
def test_the_series_of_a_job_whose_end_was_not_reported_expire(
    parent: Parent, was_listed: bool, delay: float
) -> None:
    parent.push("id-1", ["job_round", [], 1])
    if was_listed:
        parent.job_labels()
    parent.running.clear()
    parent.now += delay
    parent.job_labels()

    parent.now += 600
    assert parent.job_labels() == {"hospital"}
    parent.now += 700
    assert parent.job_labels() == set()


def test_a_new_job_replaces_a_finished_one_of_the_same_name_but_not_an_active_one(parent: Parent) -> None:
    parent.push("id-1", ["job_round", [], 9], ["round_sites", [], 2])
    parent.launch("id-2", "hospital")
    parent.push("id-2", ["job_round", [], 1])
    assert parent.value("nvflare_job_round", job="hospital") == 9
    assert parent.value("nvflare_job_round", job="hospital~2") == 1

    parent.end("id-1")
    parent.launch("id-3", "hospital")
    parent.push("id-3", ["job_round", [], 3])
    assert parent.value("nvflare_job_round", job="hospital") == 3
    assert parent.value("nvflare_round_sites") is None


@pytest.mark.parametrize(
    ("limit", "second_job"), [("MAX_SERIES_PER_JOB", "id-1"), ("MAX_SERIES", "id-2")], ids=["job", "all jobs"]
)
def test_series_beyond_a_limit_are_dropped_and_existing_series_are_updated(
    parent: Parent, monkeypatch: pytest.MonkeyPatch, limit: str, second_job: str
) -> None:
    monkeypatch.setattr(series_module, limit, 10)
    parent.launch("id-2", "other")
    assert parent.push("id-1", *(["training_metric", ["s", f"{tag}"], 0] for tag in range(8))) == 0

    assert parent.push(second_job, *(["training_metric", ["s", f"more {tag}"], 0] for tag in range(8))) == 6
    assert parent.push("id-1", ["training_metric", ["s", "3"], 7]) == 0
    assert parent.value("nvflare_training_metric", tag="3") == 7


def test_values_that_a_job_dropped_itself_are_counted(parent: Parent) -> None:
    parent.push("id-1", dropped={"capacity": 3, "queue": 4})

    assert parent.dropped == {"capacity": 3, "queue": 4}


@pytest.mark.parametrize(
    "document",
    [
        {"values": [["up", [], 1]]},
        {"values": [["job_info", ["id-2"], 1]]},
        {"values": [["round_duration_seconds", [], 1]]},
        {"values": [["job_round", ["more"], 1]]},
        {"values": [["training_metric", ["loss"], 1]]},
        {"values": [["job_round", [], "three"]]},
        {"values": [["training_metric", ["s", "x" * (MAX_LABEL + 1)], 1]]},
        {"values": [["job_round", [], 1]] * (MAX_CHANGES + 1)},
        {"distributions": [["job_round", [], [1], 1]]},
        {"distributions": [["round_duration_seconds", [], [1], 1]]},
        {"distributions": [["round_duration_seconds", [], [-1] * (len(ROUNDS.buckets) + 1), 1]]},
        {"dropped": {"token": 1}},
        {"dropped": {"capacity": -1}},
        {"job": "another"},
        [],
        None,
    ],
)
def test_an_invalid_document_is_refused(document: Any) -> None:
    with pytest.raises(ValidationError):
        MetricsDocument.model_validate_json(json.dumps(document))


def test_the_job_that_ended_first_is_evicted() -> None:
    parent = Parent()
    for number in range(70):
        parent.launch(f"id-{number}", f"job-{number}")
        if number != 0:
            parent.end(f"id-{number}")
        parent.now += 1

    known = parent.jobs.known()

    assert len(known) == 64
    assert "id-0" in known, "it is running"
    assert "id-1" not in known


def test_results_are_counted_once(parent: Parent) -> None:
    parent.end("id-1", "aborted")
    parent.end("id-1", "completed")
    parent.launch("id-1", "hospital")

    assert parent.jobs.finished == {"completed": 0, "failed": 0, "aborted": 1}
    assert parent.jobs.started == 2, "the same job, started again"


def test_a_job_may_push_for_some_seconds_after_its_end(parent: Parent) -> None:
    parent.end("id-1")
    parent.now += 30
    assert parent.jobs.may_push("id-1")
    parent.now += 1
    assert not parent.jobs.may_push("id-1")
    assert not parent.jobs.may_push("id-unknown")
