"""Duration and memory of a scrape: `python -m benchmarks.telemetry.scrape SITES TAGS` prints JSON.

The telemetry port of a server's parent runs in this process. A job pushes values of all sites over HTTP; then
the port is scraped as Prometheus does it.
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass

import psutil
from prometheus_client.core import Metric

from fl_app.telemetry.access import push_environment
from fl_app.telemetry.endpoint import Endpoint
from fl_app.telemetry.measurements import Measurements
from fl_app.telemetry.metrics import ParentIdentity, View, family_of
from fl_app.telemetry.push import Pusher

SCRAPES = 20
ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


@dataclass(frozen=True)
class Scrape:
    """Result for one size."""

    sites: int
    tags: int
    series: int
    megabytes: float
    """Size of one response."""
    milliseconds: float
    """Median duration, from request to last byte."""
    best_milliseconds: float
    cpu_milliseconds: float
    """CPU time of this process, which is both client and server."""
    memory_mib: float
    """Memory of the series, at the parent and at the job."""
    push_seconds: float
    """Duration until the parent accepted all values."""


class Sites(View):
    """A view with a number of registered sites."""

    def __init__(self, identity: ParentIdentity, number: int) -> None:
        self._identity = identity
        self._number = number

    def metrics(self) -> Iterable[Metric]:
        labels = [self._identity.labels_of(f"site-{number}") for number in range(self._number)]
        yield family_of("registered", dict.fromkeys(labels, 1))
        yield family_of("last_contact_timestamp_seconds", dict.fromkeys(labels, time.time()))


def measure(sites: int, tags: int) -> Scrape:
    """Push values to a parent and scrape it."""
    identity = ParentIdentity("flare-server", "server", project="benchmark")
    endpoint = Endpoint("127.0.0.1", 0)
    endpoint.identify(identity)
    endpoint.view = Sites(identity, sites)
    endpoint.jobs.launched("job-id", "hospital")
    endpoint.jobs.running = lambda: ["job-id"]
    scrape(endpoint)
    before, begin = psutil.Process().memory_info().rss, time.monotonic()
    push(sites, tags)
    pushed = time.monotonic() - begin
    times, cpu_begin = [], time.process_time()
    for _ in range(SCRAPES):
        begin = time.perf_counter()
        body = scrape(endpoint)
        times.append((time.perf_counter() - begin) * 1000)
    cpu = (time.process_time() - cpu_begin) * 1000 / SCRAPES
    memory = psutil.Process().memory_info().rss - before
    return Scrape(
        sites,
        tags,
        series=sum(line[:1] not in (b"#", b"") for line in body.split(b"\n")),
        megabytes=round(len(body) / 1e6, 2),
        milliseconds=round(statistics.median(times), 1),
        best_milliseconds=round(min(times), 1),
        cpu_milliseconds=round(cpu, 1),
        memory_mib=round(memory / 2**20, 1),
        push_seconds=round(pushed, 2),
    )


def push(sites: int, tags: int) -> None:
    """Push what the server's job process pushes after a round."""
    environment = push_environment("job-id")
    pusher = Pusher(environment["FLARE_PUSH_URL"], environment["FLARE_PUSH_TOKEN"])
    measured = Measurements()
    for site in range(sites):
        measured.add("rounds_participated_total", 1, f"site-{site}")
        measured.add("rounds_missed_total", 0, f"site-{site}")
        for tag in range(tags):
            measured.set("training_metric", site + tag / 7, f"site-{site}", f"train/metric-{tag}")
    pusher.attach(measured)
    while not pusher.flush(60) or measured.next() is not None:
        pass
    pusher.close()


def scrape(endpoint: Endpoint) -> bytes:
    """Return the response of a scrape."""
    with closing(http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=60)) as connection:
        connection.request("GET", "/metrics", headers={"Accept": ACCEPT})
        return connection.getresponse().read()


if __name__ == "__main__":
    print(json.dumps(asdict(measure(int(sys.argv[1]), int(sys.argv[2])))))
