"""Whether enough sites are there for a job to begin; pure functions on the job's meta.json."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nvflare.apis.job_def import ALL_SITES, SERVER_SITE_NAME, JobMetaKey
from nvflare.private.fed.utils.fed_utils import extract_participants

from fl_app.guard.finding import Finding

PATIENCE_PROP = "wait_for_sites"
"""In a job's `custom_props`: seconds for which this one waits, even for sites that never registered."""
_SHOWN = 10


@dataclass(frozen=True)
class Sites:
    """The sites of a federation, as its server sees them."""

    registered: frozenset[str]
    known: frozenset[str]
    """Those that were registered once, in this server's life or before."""

    def among(self, allowed: Collection[str]) -> Sites:
        """Without those that are not allowed."""
        return Sites(self.registered & set(allowed), self.known & set(allowed))


@dataclass(frozen=True)
class Lack:
    """What a job lacks to begin."""

    finding: Finding
    hopeless: bool
    """No site that the server knows would make it enough."""


@dataclass(frozen=True)
class Demand:
    """The sites that a job asks for."""

    least: int
    """How many must take part."""
    required: frozenset[str]
    """Who must be among them."""
    named: frozenset[str] | None
    """Who may take part; None for everybody."""

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Demand:
        """From a job's meta.json."""
        least = meta.get(JobMetaKey.MIN_CLIENTS.value)
        required = meta.get(JobMetaKey.MANDATORY_CLIENTS.value)
        return cls(
            least=max(1, least) if isinstance(least, int) else 1,
            required=frozenset(one for one in required if isinstance(one, str))
            if isinstance(required, list)
            else frozenset(),
            named=_named(meta.get(JobMetaKey.DEPLOY_MAP.value)),
        )


def lacking(demand: Demand, sites: Sites, waits: bool = False) -> Lack | None:
    """What is lacking for a job to begin; None if nothing is.

    Args:
        demand: of the job.
        sites: those that may take part in its study.
        waits: whether the job says itself that it waits, so that there is always hope.
    """
    if demand.named is not None:
        sites = sites.among(demand.named)
    absent = demand.required - sites.registered
    if not absent and len(sites.registered) >= demand.least:
        return None
    hopeless = not waits and (bool(demand.required - sites.known) or len(sites.known) < demand.least)
    return Lack(_finding(demand, sites, absent, hopeless), hopeless)


def patience_of(meta: Mapping[str, Any]) -> float | None:
    """Seconds for which a job itself says that it waits; None if it says nothing."""
    props = meta.get(JobMetaKey.CUSTOM_PROPS.value)
    seconds = props.get(PATIENCE_PROP) if isinstance(props, Mapping) else None
    return float(seconds) if isinstance(seconds, int | float) and not isinstance(seconds, bool) else None


def _finding(demand: Demand, sites: Sites, absent: frozenset[str], hopeless: bool) -> Finding:
    away = (sites.known | demand.required | (demand.named or frozenset())) - sites.registered
    needs = f"needs {demand.least} site{'s' * (demand.least != 1)}"
    if absent:
        needs += f", {_list(absent)} among them"
    there = f"{len(sites.registered)} {'is' if len(sites.registered) == 1 else 'are'} registered"
    parts = [f"{needs}, and {there}{_after_colon(sites.registered)}"]
    if away:
        parts.append(f"not registered: {_list(away)}")
    missing = demand.least - len(sites.registered | away)
    if missing > 0:
        parts.append(f"{missing} more {'has' if missing == 1 else 'have'} never been here")
    remedy = (
        "Let them register once and submit it again, or submit it for fewer sites."
        if hopeless
        else "It begins when they are there: start them, or abort it and submit it for fewer sites."
    )
    return Finding("; ".join(parts), remedy, key="min_clients" if not absent else "mandatory_clients")


def _named(deploy_map: Any) -> frozenset[str] | None:
    """Who a deploy_map sends an app to; None where that is everybody."""
    if not isinstance(deploy_map, Mapping):
        return None
    names = [name for deployments in deploy_map.values() for name in extract_participants(deployments)]
    if any(name.upper() == ALL_SITES for name in names):
        return None
    return frozenset(name for name in names if name != SERVER_SITE_NAME)


def _after_colon(names: Iterable[str]) -> str:
    return f" ({_list(names)})" if names else ""


def _list(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + more
