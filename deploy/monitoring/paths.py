"""Where generated files and runbooks lie in the checkout, and what rules, scrapes and charts agree on."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CHART = CHECKOUT / "helm" / "flare-monitoring"
RULES = CHART / "rules"
DASHBOARDS = CHART / "dashboards"
RUNBOOKS = CHECKOUT / "docs" / "runbooks"

RUNBOOKS_URL = "docs/runbooks"
"""In the generated rules; whoever loads them puts in its place where the runbooks can be read."""

SCRAPE_JOB = "flarefleet"
"""Prometheus' own label `job` of every scraped parent. A job's series carry their job's name instead."""
