"""Verb: monitor."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.cli.context import context_of, err, out

app = typer.Typer()


@app.command()
def monitor(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where Prometheus serves.")] = 9090,
    grafana_port: Annotated[int, typer.Option(min=1, max=65535, help="Where Grafana serves.")] = 3000,
) -> None:
    """Watch the running federation: Prometheus with our alerts, Grafana with our dashboards. Until Ctrl-C."""
    from deploy.demo.signals import interruptible
    from deploy.monitoring.grafana import FIRST
    from deploy.monitoring.programs import INSTALL_GRAFANA
    from deploy.monitoring.watch import watching
    from deploy.runtimes.choice import current_runtime

    context = context_of(ctx)
    project = context.project()
    workspace = context.workspace(project)
    runtime = current_runtime(project, workspace)
    with interruptible(), watching(runtime, workspace.monitor, port, grafana_port) as watch:
        out.print(f"Prometheus  {watch.prometheus.command.url}/alerts", markup=False)
        if watch.grafana is not None:
            out.print(f"Grafana     {watch.grafana.command.url}/d/{FIRST}", markup=False)
        else:
            err.print(INSTALL_GRAFANA, markup=False)
        err.print(f"{watch.parents} of {project.name} are scraped on {runtime.name}. Ctrl-C ends this.")
        try:
            watch.follow(runtime)
        except KeyboardInterrupt:
            err.print("Stopped. What Prometheus has seen stays for the next time.")
