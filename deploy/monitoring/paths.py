"""Paths of the monitoring files, and names that rules and charts share."""

from deploy.checkout import CHARTS

CHART = CHARTS / "flare-monitoring"
RULES = CHART / "rules"
DASHBOARDS = CHART / "dashboards"

RUNBOOKS_URL = "docs/runbooks"
"""Placeholder in the generated rules; the chart and `flarefleet monitor` replace it."""

SCRAPE_JOB = "flarefleet"
"""The label `job` of all scraped parents. Series of a job have the name of the job instead."""
