"""Write docs/metrics.md from the catalogue of metrics: `make docs`. `--check` fails where it drifted."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

from fl_app.startup.settings import METRICS_KEPT_SECONDS
from fl_app.telemetry.catalogue import JOB_METRICS, LABELS, PARENT_METRICS, RESULTS, Spec
from fl_app.telemetry.documents import LABEL_LENGTH
from fl_app.telemetry.intake import (
    BYTES_PER_SECOND,
    DOCUMENTS_PER_SECOND,
    MAX_DOCUMENT_BYTES,
    REASONS,
)
from fl_app.telemetry.measurements import KINDS, PARTICIPANTS, TAGS
from fl_app.telemetry.roster import JOBS
from fl_app.telemetry.series import SERIES, SERIES_OF_JOB

FILE = Path(__file__).with_name("metrics.md")


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


INTRODUCTION = f"""\
<!-- Written by `make docs` from fl_app/telemetry: do not edit. -->

# Metrics

Every server and site shows these on its telemetry port (9464): `GET /metrics`, in Prometheus' or
OpenMetrics' text format. Job processes and pods push theirs to the parent that started them, so the parent is
all there is to scrape.

Every series has the labels {_names(LABELS)}: the federation, whose it is, and who says so (`server`
or `client`). What a site tells of itself has role `client`; what the server tells of that site has role
`server`. The series of a job also have `job`, the job's name; while two jobs of one name run on a parent, the
second is `NAME~2`. Only `nvflare_job_info` tells a job's id, and only while the job is active.

A job's series stay for {METRICS_KEPT_SECONDS / 60:.0f} minutes after its end, however it ended
(`FLARE_METRICS_KEPT`, seconds, in a parent's environment). A new job of the same name takes them over at
once.
"""

OF_THE_PROCESS = f"""\
`result` is one of {_names(RESULTS)}. Each parent also has the metrics of its own process that
prometheus-client makes (`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`,
`process_start_time_seconds`...), with the same labels.
"""

BOUNDS = f"""\
## Bounds

A parent takes documents of up to {MAX_DOCUMENT_BYTES >> 20} MiB, {DOCUMENTS_PER_SECOND:.0f} of
them and {BYTES_PER_SECOND / 2**20:.0f} MiB a second from each job (more in one go after a pause). It shows
{JOBS} jobs at most, {SERIES_OF_JOB} series a job, {SERIES} in all. A job has {TAGS} tags for each of
{PARTICIPANTS} sites, {KINDS} values of any other label, and cuts label values at {LABEL_LENGTH} characters.
What is beyond these is dropped and counted in `nvflare_telemetry_dropped_total`, by `reason`:

| reason | why it was dropped |
|---|---|
"""


def main() -> int:
    """Write the file, or with --check say whether it drifted; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where the file drifted")
    text = reference()
    if not parser.parse_args().check:
        FILE.write_text(text, encoding="utf-8")
    elif not FILE.exists() or FILE.read_text(encoding="utf-8") != text:
        print(f"{FILE} is not what the code says; write it anew: make docs", file=sys.stderr)
        return 1
    return 0


def reference() -> str:
    """The whole file."""
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
    """The same text with lines of one width, however long the figures in it are."""
    paragraphs = (
        one if one.startswith("|") else textwrap.fill(one, 110, break_on_hyphens=False)
        for one in text.strip().split("\n\n")
    )
    return "\n\n".join(paragraphs) + "\n"


def _table(specs: Iterable[Spec]) -> str:
    head = "| name | type | further labels | unit | seen by | meaning |\n|---|---|---|---|---|---|\n"
    return head + "".join(_row(spec) for spec in specs)


def _row(spec: Spec) -> str:
    cells = (
        f"`{spec.full_name}`",
        spec.type.value,
        _names(spec.labels),
        spec.unit,
        spec.seen.value,
        spec.meaning,
    )
    return "| " + " | ".join(cells) + " |\n"


if __name__ == "__main__":
    sys.exit(main())
