"""The dashboards, one module each; `documents` has them all as Grafana reads them."""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from maintenance.dashboards import capacity, federation, job, site


def documents() -> dict[str, str]:
    """File name -> the JSON of a dashboard."""
    made = (federation.board(), site.board(), job.board(), capacity.board())
    return {
        f"{board.uid}.json": json.dumps(board, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"
        for board in made
    }
