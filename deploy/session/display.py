"""Shows a job as it runs: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.session.session import SUBMITTED, Job
from deploy.session.watching import Sighting
from fl_app.telemetry.job_progress import JobProgress, SitePhase, SiteProgress

_COLOURS = {SitePhase.WAITING: "dim", SitePhase.TRAINING: "cyan", SitePhase.FAILED: "red"}


class Display(Protocol):
    """Something that shows sightings of one job."""

    def show(self, sighting: Sighting) -> None:
        """Show the job as it is now."""
        ...


@contextmanager
def displaying(console: Console) -> Iterator[Display]:
    """The display that fits `console`."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Live(console=console, transient=False, auto_refresh=False) as live:
        yield _Table(live)


class _Table:
    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, sighting: Sighting) -> None:
        parts: list[Text | Table] = [Text(_headline(sighting))]
        if sighting.progress and sighting.progress.sites:
            parts.append(_site_table(sighting.progress))
        self._live.update(Group(*parts), refresh=True)


class _Lines:
    """One line for each thing that is new, so that a log of it reads well."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._headline = ""
        self._sites: dict[str, SiteProgress] = {}

    def show(self, sighting: Sighting) -> None:
        headline = _headline(sighting)
        if headline != self._headline:
            self._headline = headline
            self._print(headline)
        for name, site in sorted((sighting.progress.sites if sighting.progress else {}).items()):
            if _news(site) != _news(self._sites.get(name, SiteProgress())):
                self._print(f"  {name}: {_site_words(site)}")
            self._sites[name] = site

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False)


def _headline(sighting: Sighting) -> str:
    job, progress = sighting.job, sighting.progress
    words = _status_words(job)
    if progress is None or progress.round is None:
        return words
    of = f"/{progress.rounds}" if progress.rounds else ""
    return f"{words}, round {progress.round}{of}"


def _status_words(job: Job) -> str:
    if job.status == SUBMITTED and job.waits_for:
        return f"{job.name}: waits to be started ({job.waits_for})"
    if job.server_waits_for:
        return f"{job.name}: {job.status}, the server waits for its job pod: {job.server_waits_for}"
    took = f" after {short_duration(job.duration)}" if job.is_finished and job.duration else ""
    return f"{job.name}: {job.status}{took}"


def short_duration(duration: str) -> str:
    """NVFlare's `0:00:05.404747` as `0:00:05`."""
    return duration.partition(".")[0]


def _site_table(progress: JobProgress) -> Table:
    tags = sorted({tag for site in progress.sites.values() for tag in site.metrics})
    table = Table("site", "state", "rounds", *tags, box=None, pad_edge=False, header_style="dim")
    for name, site in sorted(progress.sites.items()):
        state = _waiting_words(site) or f"{site.phase.value} {site.error}".strip()
        values = [f"{site.metrics[tag]:.4g}" if tag in site.metrics else "" for tag in tags]
        table.add_row(name, Text(state, style=_COLOURS[site.phase]), str(site.rounds_done), *values)
    return table


def _news(site: SiteProgress) -> tuple[int, str, str]:
    return site.rounds_done, site.error, site.waits_for


def _waiting_words(site: SiteProgress) -> str:
    return f"waits for its job pod: {site.waits_for}" if site.waits_for else ""


def _site_words(site: SiteProgress) -> str:
    if site.error:
        return f"failed: {site.error}"
    if site.waits_for:
        return _waiting_words(site)
    metrics = ", ".join(f"{tag} {value:.4g}" for tag, value in sorted(site.metrics.items()))
    return f"{site.rounds_done} round{'s' * (site.rounds_done != 1)} done{f' ({metrics})' if metrics else ''}"
