"""The Grafana dashboards, one module each."""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from maintenance.dashboards import capacity, federation, job, site


def documents() -> dict[str, str]:
    """Return file name -> JSON of the dashboard."""
    made = (federation.board(), site.board(), job.board(), capacity.board())
    return {
        f"{board.uid}.json": json.dumps(board, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"
        for board in made
    }
