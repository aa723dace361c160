"""The counters of interventions on the telemetry of the server's parent."""

from __future__ import annotations

from fl_app.survival.interventions import Intervention, Kind
from fl_app.telemetry.interventions import InterventionCounts
from fl_app.telemetry.metrics import ParentIdentity
from fl_app.telemetry.parent_jobs import MAX_JOBS, ParentJobs

IDENTITY = ParentIdentity("flare-server", "server", project="hospitals")
KILLED = Intervention(Kind.RESTARTED, "killed by signal 9; started again", "site-1")


def counted(counts: InterventionCounts, site: str, kind: Kind, job: str = "probe") -> float | None:
    """Return the value of one series; None if there is none."""
    (family,) = counts.metrics(IDENTITY)
    for sample in family.samples:
        labels = sample.labels
        if (labels["site"], labels["job"], labels["kind"]) == (site, job, kind.value):
            return float(sample.value)
    return None


def test_interventions_are_counted_by_job_site_and_kind() -> None:
    jobs = ParentJobs()
    counts = InterventionCounts(jobs)
    jobs.launched("1", "probe")
    jobs.launched("2", "hospital")
    for job_id in ("1", "1", "2"):
        counts.add(job_id, KILLED)
    counts.add("1", Intervention(Kind.ADOPTED, "taken over"))

    assert counted(counts, "site-1", Kind.RESTARTED) == 2
    assert counted(counts, "site-1", Kind.RESTARTED, "hospital") == 1
    assert counted(counts, "flare-server", Kind.ADOPTED) == 1


def test_a_counter_starts_at_zero() -> None:
    jobs = ParentJobs()
    counts = InterventionCounts(jobs)
    jobs.launched("1", "probe")

    assert counted(counts, "flare-server", Kind.BELOW_QUORUM) == 0
    counts.add("1", KILLED)
    assert counted(counts, "site-1", Kind.REJOINED) == 0


def test_an_intervention_before_the_launch_is_shown_after_it() -> None:
    jobs = ParentJobs()
    counts = InterventionCounts(jobs)
    counts.add("1", KILLED)
    assert counted(counts, "site-1", Kind.RESTARTED) is None

    jobs.launched("1", "probe")
    assert counted(counts, "site-1", Kind.RESTARTED) == 1


def test_the_number_of_jobs_is_limited() -> None:
    counts = InterventionCounts(ParentJobs())
    for number in range(3 * MAX_JOBS):
        counts.add(str(number), KILLED)
    assert len(counts._jobs) == 2 * MAX_JOBS
