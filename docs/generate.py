"""Generate docs/metrics.md from the catalogue of metrics: `make docs`. `--check` fails if it is stale."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

from fl_app.telemetry.catalogue import JOB_METRICS, LABELS, PARENT_METRICS, RESULTS, MetricSpec
from fl_app.telemetry.documents import MAX_LABEL
from fl_app.telemetry.measurements import MAX_LABEL_VALUES, MAX_SITES, MAX_TAGS
from fl_app.telemetry.parent_jobs import KEPT_SECONDS, MAX_JOBS
from fl_app.telemetry.push_gateway import (
    BYTES_PER_SECOND,
    DOCUMENTS_PER_SECOND,
    MAX_DOCUMENT_BYTES,
    REASONS,
)
from fl_app.telemetry.series import MAX_SERIES, MAX_SERIES_PER_JOB

FILE = Path(__file__).with_name("metrics.md")


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


INTRODUCTION = f"""\
<!-- Written by `make docs` from fl_app/telemetry: do not edit. -->

# Metrics

Every parent (the main process of a server or site) serves its metrics on its telemetry port (9464): `GET
/metrics`, in the text format of Prometheus or OpenMetrics. Job processes and job pods push their metrics to
the parent that started them, so Prometheus scrapes only parents.

Every series has the labels {_names(LABELS)}: the federation, the site that the series describes, and the role
of the parent that reports it (`server` or `client`). A site reports about itself with role `client`; the
server reports about that site with role `server`. Series of a job also have the label `job`, the job's name.
If two jobs of one name run on a parent, the second is `NAME~2`. Only `nvflare_job_info` contains a job's id,
and only while the job is active.

The series of a job remain for {KEPT_SECONDS / 60:.0f} minutes after its end (`FLARE_METRICS_KEPT`, in
seconds, in the environment of a parent). A new job of the same name replaces them.
"""

OF_THE_PROCESS = f"""\
`result` is one of {_names(RESULTS)}. Each parent also reports prometheus-client's metrics of its own process
(`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`,
`process_start_time_seconds`...), with the same labels.
"""

BOUNDS = f"""\
## Limits

A parent accepts documents of up to {MAX_DOCUMENT_BYTES >> 20} MiB, at a sustained rate of
{DOCUMENTS_PER_SECOND:.0f} documents and {BYTES_PER_SECOND / 2**20:.0f} MiB a second for each job (more in a
burst). It keeps at most {MAX_JOBS} jobs, {MAX_SERIES_PER_JOB} series for each job, and {MAX_SERIES} in total.
A job has at most {MAX_TAGS} tags for each of {MAX_SITES} sites, and {MAX_LABEL_VALUES} values of any other
label; label values are truncated to {MAX_LABEL} characters. Values and documents beyond these limits are
dropped and counted in `nvflare_telemetry_dropped_total`, by `reason`:

| reason | meaning |
|---|---|
"""


def main() -> int:
    """Write the file, or with --check compare it; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file is stale")
    text = reference()
    if not parser.parse_args().check:
        FILE.write_text(text, encoding="utf-8")
    elif not FILE.exists() or FILE.read_text(encoding="utf-8") != text:
        print(f"{FILE} is stale; run: make docs", file=sys.stderr)
        return 1
    return 0


def reference() -> str:
    """Return the content of the file."""
    return "\n".join(
        [
            _filled(INTRODUCTION),
            "## Parents\n\n" + _table(PARENT_METRICS),
            _filled(OF_THE_PROCESS),
            "## Jobs\n\n" + _table(JOB_METRICS),
            _filled(BOUNDS) + "".join(f"| `{reason}` | {why} |\n" for reason, why in REASONS.items()),
        ]
    )


def _filled(text: str) -> str:
    """Wrap each paragraph, because the length of the inserted numbers varies."""
    paragraphs = (
        one if one.startswith("|") else textwrap.fill(one, 110, break_on_hyphens=False)
        for one in text.strip().split("\n\n")
    )
    return "\n\n".join(paragraphs) + "\n"


def _table(specs: Iterable[MetricSpec]) -> str:
    head = "| name | type | labels | unit | reported by | meaning |\n|---|---|---|---|---|---|\n"
    return head + "".join(_row(spec) for spec in specs)


def _row(spec: MetricSpec) -> str:
    cells = (
        f"`{spec.full_name}`",
        spec.type.value,
        _names(spec.labels),
        spec.unit,
        spec.reported_by.value,
        spec.meaning,
    )
    return "| " + " | ".join(cells) + " |\n"


if __name__ == "__main__":
    sys.exit(main())
