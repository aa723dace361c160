"""Display the progress of a job: a live table on a terminal, otherwise one line per change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.session.session import SUBMITTED, Job
from deploy.session.watching import Snapshot
from fl_app.survival.interventions import Intervention
from fl_app.telemetry.job_progress import JobProgress, SitePhase, SiteProgress

SHOWN_INTERVENTIONS = 8
"""Last interventions below the table of a job; the lines of a terminal are few."""

_COLOURS = {SitePhase.WAITING: "dim", SitePhase.TRAINING: "cyan", SitePhase.FAILED: "red"}


@contextmanager
def job_display(console: Console) -> Iterator[Callable[[Snapshot], None]]:
    """Return the function that shows snapshots of a job on `console`."""
    if not console.is_terminal:
        yield _line_display(console)
        return
    with Live(console=console, transient=False, auto_refresh=False) as live:
        yield lambda snapshot: live.update(_as_table(snapshot), refresh=True)


def _as_table(snapshot: Snapshot) -> Group:
    parts: list[Text | Table] = [Text(_headline(snapshot))]
    if snapshot.progress and snapshot.progress.sites:
        parts.append(_site_table(snapshot.progress, snapshot.job.is_finished))
    parts += [Text(f"warning: {line}", style="yellow") for line in snapshot.warnings]
    history = snapshot.job.history
    if earlier := len(history[:-SHOWN_INTERVENTIONS]):
        parts.append(Text(f"{earlier} earlier interventions: flarefleet jobs --json", style="dim"))
    parts += [Text(one.line, style="cyan") for one in history[-SHOWN_INTERVENTIONS:]]
    return Group(*parts)


def _line_display(console: Console) -> Callable[[Snapshot], None]:
    """Return a function that prints the lines that have changed."""
    sites: dict[str, SiteProgress] = {}
    warnings: set[str] = set()
    history: set[Intervention] = set()
    last_headline = ""

    def show(snapshot: Snapshot) -> None:
        nonlocal last_headline
        headline = _headline(snapshot)
        if headline != last_headline:
            console.print(headline, markup=False)
            last_headline = headline
        for one in snapshot.job.history:
            if one not in history:
                history.add(one)
                console.print(f"  {one.line}", markup=False)
        for name, site in sorted((snapshot.progress.sites if snapshot.progress else {}).items()):
            if _printed_state(site) != _printed_state(sites.get(name, SiteProgress())):
                console.print(f"  {name}: {site_text(site)}", markup=False)
            sites[name] = site
        for line in snapshot.warnings:
            if line not in warnings:
                warnings.add(line)
                console.print(f"warning: {line}", markup=False)

    return show


def _headline(snapshot: Snapshot) -> str:
    progress = snapshot.progress
    text = status_text(snapshot.job)
    if progress is None or progress.round is None:
        return text
    return f"{text}, {round_text(progress)}"


def round_text(progress: JobProgress) -> str:
    """Return the current round, from 1, and the total if it is known: `round 3 of 10`."""
    return f"round {progress.round}" + (f" of {progress.rounds}" if progress.rounds else "")


def print_summary(console: Console, snapshot: Snapshot) -> None:
    """Print the last metrics of each site and of the server, and which model is the best.

    The table on a terminal has shown the metrics.
    """
    progress = snapshot.progress
    if progress is None:
        return
    if not console.is_terminal and (lines := list(_final_metrics(progress))):
        console.print("final metrics:")
        for line in lines:
            console.print(f"  {line}")
    elif progress.metrics:
        console.print(f"server: {_metrics_text(progress.metrics)}")
    if progress.best:
        best = progress.best
        console.print(f"best model: after round {best.round} ({best.metric} {best.value:.4g})")


def _final_metrics(progress: JobProgress) -> Iterator[str]:
    logged = {"server": progress.metrics} | {
        name: site.metrics for name, site in sorted(progress.sites.items())
    }
    for name, metrics in logged.items():
        if metrics:
            yield f"{name}: {_metrics_text(metrics)}"


def status_text(job: Job) -> str:
    """Return the status of a job, with the reason if it is waiting."""
    if job.status == SUBMITTED and job.waits_for:
        return f"{job.name}: waiting to start ({job.waits_for})"
    if job.server_waits_for:
        return f"{job.name}: {job.status}, the server is waiting for its job pod: {job.server_waits_for}"
    duration = f" after {short_duration(job.duration)}" if job.is_finished and job.duration else ""
    return f"{job.name}: {job.status}{duration}"


def short_duration(duration: str) -> str:
    """Return NVFlare's `0:00:05.404747` as `0:00:05`."""
    return duration.partition(".")[0]


def _site_table(progress: JobProgress, is_finished: bool) -> Table:
    tags = sorted({tag for site in progress.sites.values() for tag in site.metrics})
    table = Table("site", "state", "rounds", *tags, box=None, pad_edge=False, header_style="dim")
    for name, site in sorted(progress.sites.items()):
        phase = "finished" if is_finished and site.phase is not SitePhase.FAILED else site.phase.value
        state = _waiting_text(site) or f"{phase} {site.error}".strip()
        values = [f"{site.metrics[tag]:.4g}" if tag in site.metrics else "" for tag in tags]
        table.add_row(name, Text(state, style=_COLOURS[site.phase]), str(site.rounds_done), *values)
    return table


def _metrics_text(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{tag} {value:.4g}" for tag, value in sorted(metrics.items()))


def _printed_state(site: SiteProgress) -> tuple[int, str, str, str]:
    """Return what a new line of the site depends on; the time for which it is away does not count."""
    return site.rounds_done, site.error, site.waits_for, re.sub(r"\d+", "", site.away)


def _waiting_text(site: SiteProgress) -> str:
    if site.away:
        return f"away: {site.away}"
    return f"waiting for its job pod: {site.waits_for}" if site.waits_for else ""


def site_text(site: SiteProgress) -> str:
    """Return the progress of a site as one line."""
    if site.error:
        return f"failed: {site.error}"
    if state := _waiting_text(site):
        return state
    metrics = _metrics_text(site.metrics)
    return f"{site.rounds_done} round{'s' * (site.rounds_done != 1)} done{f' ({metrics})' if metrics else ''}"
