"""The common parts of all dashboards: uids, variables and links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from maintenance.dashboards.panels import DATASOURCE

TAG = "flarefleet"
UIDS = {
    "Federation": "flarefleet-federation",
    "Site": "flarefleet-site",
    "Job": "flarefleet-job",
    "Capacity": "flarefleet-capacity",
}
"""Title -> uid, which links and bookmarks contain."""

PROJECT = 'project="$project"'
Panels = list[Builder[dashboard.Panel]]
Rows = Sequence[tuple[str, Panels]]


@dataclass(frozen=True)
class Variable:
    """A dashboard variable with the values of a label."""

    name: str
    label: str
    description: str
    series: str
    several: bool = True

    def build(self) -> builders.QueryVariable:
        """Return Grafana's variable."""
        variable = (
            builders.QueryVariable(self.name)
            .label(self.label)
            .description(self.description)
            .datasource(DATASOURCE)
            .query({"query": f"label_values({self.series}, {self.name})", "refId": self.name})
            .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
            .multi(self.several)
            .include_all(self.several)
        )
        if self.several:
            variable.all_value(".+").current(dashboard.VariableOption(text=["All"], value=["$__all"]))
        return variable


PROJECTS = Variable("project", "Federation", "The federation.", "nvflare_build_info", several=False)
SITES = Variable(
    "site",
    "Site",
    "Sites with metrics of their own or from the server.",
    f'{{__name__=~"nvflare_registered|nvflare_build_info", {PROJECT}}}',
)
JOBS = Variable("job", "Job", "Jobs by name.", f"nvflare_job_rounds{{{PROJECT}}}")
TAGS = Variable(
    "tag", "Metric", "Metrics that the clients log.", f'nvflare_training_metric{{{PROJECT}, job=~"$job"}}'
)


def assemble(title: str, description: str, variables: Sequence[Variable], rows: Rows) -> dashboard.Dashboard:
    """Return the dashboard with a title of UIDS, and rows of a heading and panels."""
    board = (
        builders.Dashboard(f"Flarefleet / {title}")
        .uid(UIDS[title])
        .description(description)
        .tags([TAG])
        .timezone("browser")
        .time("now-3h", "now")
        .refresh("30s")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .with_variable(_datasource())
    )
    for variable in variables:
        board.with_variable(variable.build())
    for other in UIDS:
        if other != title:
            board.link(_link(other))
    for heading, panels in rows:
        board.with_row(builders.Row(heading))
        for panel in panels:
            board.with_panel(panel)
    made = board.build()
    for number, placed in enumerate(made.panels or (), start=1):
        placed.id_val = number
    return made


def link_to_site() -> builders.DashboardLink:
    """Return a link from a row of a table to the dashboard of its site."""
    return _data_link("Dashboard of this site", "Site", "var-site=${__data.fields.Site}")


def _data_link(title: str, board: str, choice: str) -> builders.DashboardLink:
    url = (
        f"/d/{UIDS[board]}?{choice}&${{datasource:queryparam}}&${{project:queryparam}}&${{__url_time_range}}"
    )
    return builders.DashboardLink(title).url(url)


def _datasource() -> builders.DatasourceVariable:
    return (
        builders.DatasourceVariable("datasource")
        .label("Prometheus")
        .description("The Prometheus with the metrics.")
        .type("prometheus")
    )


def _link(title: str) -> builders.DashboardLink:
    return (
        builders.DashboardLink(title)
        .type(dashboard.DashboardLinkType.LINK)
        .url(f"/d/{UIDS[title]}")
        .icon("dashboard")
        .tooltip(f"Flarefleet / {title}")
        .include_vars(True)
        .keep_time(True)
    )
