"""Command: monitor."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.cli.context import context_of
from deploy.cli.output import err, out

app = typer.Typer()


@app.command()
def monitor(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="Port of Prometheus.")] = 9090,
    grafana_port: Annotated[
        int, typer.Option(min=1, max=65535, metavar="PORT", help="Port of Grafana.")
    ] = 3000,
) -> None:
    """Monitor the running federation with Prometheus and Grafana until Ctrl-C."""
    from deploy.monitoring.grafana import HOME_DASHBOARD
    from deploy.monitoring.monitor import monitoring
    from deploy.monitoring.programs import INSTALL_GRAFANA
    from deploy.signals import interruptible

    project, workspace, runtime = context_of(ctx).federation()
    with interruptible(), monitoring(runtime, workspace.monitor, port, grafana_port) as running:
        out.print(f"Prometheus  {running.prometheus.command.url}/alerts")
        if running.grafana is not None:
            out.print(f"Grafana     {running.grafana.command.url}/d/{HOME_DASHBOARD}")
        else:
            err.print(INSTALL_GRAFANA)
        err.print(f"{running.parents} servers and sites of {project.name} are scraped. Press Ctrl-C to stop.")
        try:
            running.follow(runtime)
        except KeyboardInterrupt:
            err.print("Stopped. The metrics are kept for the next run.")
