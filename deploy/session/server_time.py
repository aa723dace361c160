"""The time by the server's clock, which may differ from that of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

_LAST_CONTACT = "client_last_conn_time"
_COLUMN = "last connect time"


def server_time(reply: Mapping[str, Any]) -> datetime | None:
    """Return the time of NVFlare's reply to `check_status server`; None if no site is registered.

    The reply has its time without a time zone. It has the last contact of each site in the same way, in a
    table, and in seconds since 1970, in its meta: the difference of the two is the time zone.
    """
    try:
        (site, *_) = reply["meta"]["clients"]
        contact = datetime.fromtimestamp(float(site[_LAST_CONTACT]), timezone.utc)
        tables = [item["rows"] for item in reply["data"] if item["type"] == "table"]
        ((_, row, *_),) = [rows for rows in tables if rows[0][-1].lower() == _COLUMN]
        local = datetime.strptime(row[-1], "%a %b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc)
        now = datetime.fromisoformat(reply["time"]).replace(tzinfo=timezone.utc)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return now - timedelta(seconds=round((local - contact.replace(microsecond=0)).total_seconds()))
