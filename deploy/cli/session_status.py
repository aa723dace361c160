"""Show the state of the federation as its server reports it to an administrator's session."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import typer

from deploy.cli.admin_session import admin_session
from deploy.cli.context import Context, out, print_json
from deploy.cli.job_tables import print_columns
from deploy.errors import Failed
from fl_app.survival.limits import LATE_SECONDS


def show_session_status(context: Context, admin_kit: Path, as_json: bool) -> None:
    """Print server, sites and running jobs. Exit code 0 if sites are registered and none is away."""
    with admin_session(context, None, admin_kit) as session:
        state = session.federation()
        running = [job for job in session.jobs() if job.id in state.running]
        address = session.kit.address
    now = datetime.now(timezone.utc)
    ages = {site: max(0.0, (now - seen).total_seconds()) for site, seen in sorted(state.heartbeats.items())}
    is_ready = bool(ages) and max(ages.values()) < LATE_SECONDS
    if as_json:
        print_json({
            "server": {"address": address, "started": state.started.isoformat()},
            "sites": [{"name": site, "heartbeat_age_seconds": round(age, 1)} for site, age in ages.items()],
            "jobs": [{"id": job.id, "name": job.name} for job in running],
            "ready": is_ready,
        })  # fmt: skip
    else:
        since = state.started.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        rows = [("NAME", "ROLE", "STATE", "LAST HEARTBEAT")]
        rows.append((address, "server", "ready", f"answers, started {since}"))
        for site, age in ages.items():
            rows.append((site, "client", "ready" if age < LATE_SECONDS else "away", f"{age:.0f} s ago"))
        print_columns(rows)
        if not ages:
            out.print("No site is registered.")
        for job in running:
            out.print(f"running: {job.id}  {job.name}  by {job.submitter}", markup=False)
    if not is_ready:
        raise typer.Exit(Failed.exit_code)
