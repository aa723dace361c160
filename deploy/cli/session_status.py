"""Show the state of the federation as its server reports it to an administrator's session."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deploy.cli.admin_session import admin_session
from deploy.cli.context import Context
from deploy.cli.job_tables import print_columns
from deploy.cli.output import out, print_json
from deploy.errors import Failed

if TYPE_CHECKING:
    from deploy.session import Job
    from deploy.session.session import FederationState

FRESH_SECONDS = 60.0
"""Age of the last heartbeat from which a site counts as away; sites send one every few seconds."""


def show_session_status(context: Context, admin_kit: Path, as_json: bool) -> None:
    """Print server, sites and running jobs. Exit code 0 if sites are registered and none is away."""
    with admin_session(context, None, admin_kit) as session:
        state = session.federation()
        running = [job for job in session.jobs() if job.id in state.running]
        address = session.kit.address
    document = status_document(address, state, running)
    if as_json:
        print_json(document)
    else:
        _print(document, state.started)
    if not document["ready"]:
        raise typer.Exit(Failed.exit_code)


def status_document(address: str, state: FederationState, jobs: list[Job]) -> dict[str, Any]:
    """Return the state of the server, of each registered site, and the running jobs."""
    ages = {
        site: max(0.0, (state.now - seen).total_seconds()) for site, seen in sorted(state.heartbeats.items())
    }
    sites = [
        {
            "name": site,
            "state": "ready" if age < FRESH_SECONDS else "away",
            "heartbeat_age_seconds": round(age, 1),
        }
        for site, age in ages.items()
    ]
    return {
        "server": {"address": address, "started": state.started.isoformat()},
        "sites": sites,
        "jobs": [{"id": job.id, "name": job.name, "submitter": job.submitter} for job in jobs],
        "ready": bool(sites) and all(site["state"] == "ready" for site in sites),
    }


def _print(document: dict[str, Any], started: datetime) -> None:
    since = started.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    rows = [("NAME", "ROLE", "STATE", "LAST HEARTBEAT")]
    rows.append((document["server"]["address"], "server", "ready", f"answers, started {since}"))
    for site in document["sites"]:
        rows.append((site["name"], "client", site["state"], f"{site['heartbeat_age_seconds']:.0f} s ago"))
    print_columns(rows)
    if not document["sites"]:
        out.print("No site is registered.")
    for job in document["jobs"]:
        out.print(f"running: {job['id']}  {job['name']}  by {job['submitter']}", markup=False)
