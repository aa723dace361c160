"""Check whether the sites that a job needs are registered; pure functions on the job's meta.json."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from nvflare.apis.job_def import ALL_SITES, SERVER_SITE_NAME, JobMetaKey

from fl_app.guard.finding import Finding
from fl_app.nvflare_internals.guard import participants

WAIT_PROPERTY = "wait_for_sites"
"""Key in a job's `custom_props`: seconds for which the job waits, even for sites that never registered."""
_MAX_NAMES = 10


@dataclass(frozen=True)
class Sites:
    """The sites of a federation, as its server sees them."""

    registered: frozenset[str]
    known: frozenset[str]
    """Sites that have ever registered."""
    last_signs: Mapping[str, float] = field(default_factory=dict)
    """Time of the last sign of life of each site that is late, in seconds since 1970."""

    def restricted_to(self, allowed: Collection[str]) -> Sites:
        """Return only the allowed sites."""
        return replace(self, registered=self.registered & set(allowed), known=self.known & set(allowed))


@dataclass(frozen=True)
class Shortage:
    """The sites that a job lacks."""

    finding: Finding
    is_permanent: bool
    """Whether the job could not start even if every known site registered."""


@dataclass(frozen=True)
class Quorum:
    """The sites that a job needs to start."""

    min_sites: int
    mandatory: frozenset[str]
    allowed: frozenset[str] | None
    """Sites that may take part; None for all."""

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Quorum:
        """Read the quorum from a job's meta.json."""
        min_sites = meta.get(JobMetaKey.MIN_CLIENTS.value)
        mandatory = meta.get(JobMetaKey.MANDATORY_CLIENTS.value)
        names = mandatory if isinstance(mandatory, list) else ()
        return cls(
            min_sites=max(1, min_sites) if isinstance(min_sites, int) else 1,
            mandatory=frozenset(name for name in names if isinstance(name, str)),
            allowed=_deployed_sites(meta.get(JobMetaKey.DEPLOY_MAP.value)),
        )


def find_shortage(quorum: Quorum, sites: Sites, waits: bool = False) -> Shortage | None:
    """Return which sites a job lacks; None if it can start.

    Args:
        quorum: sites that the job needs.
        sites: sites of the job's study.
        waits: whether the job itself asks to wait, which makes no shortage permanent.
    """
    if quorum.allowed is not None:
        sites = sites.restricted_to(quorum.allowed)
    absent = quorum.mandatory - sites.registered
    if not absent and len(sites.registered) >= quorum.min_sites:
        return None
    is_permanent = not waits and (bool(quorum.mandatory - sites.known) or len(sites.known) < quorum.min_sites)
    return Shortage(_finding(quorum, sites, absent, is_permanent), is_permanent)


def find_absent_sites(quorum: Quorum, present: Collection[str]) -> Finding | None:
    """Return which of the sites that a job names did not start with it.

    Args:
        quorum: sites that the job needs or allows.
        present: sites that run the job.
    """
    absent = sorted((quorum.allowed or frozenset()) - set(present))
    if not absent:
        return None
    return Finding(
        "the job was submitted for this site, which was not registered when it started",
        "Check the site (flarefleet status), and submit the job again if it needs this site.",
        site=", ".join(absent),
        rule="missing_site",
    )


def wait_limit_of(meta: Mapping[str, Any]) -> float | None:
    """Return for how many seconds the job itself asks to wait; None if it does not."""
    props = meta.get(JobMetaKey.CUSTOM_PROPS.value)
    seconds = props.get(WAIT_PROPERTY) if isinstance(props, Mapping) else None
    return float(seconds) if isinstance(seconds, int | float) and not isinstance(seconds, bool) else None


def _finding(quorum: Quorum, sites: Sites, absent: frozenset[str], is_permanent: bool) -> Finding:
    expected = sites.known | quorum.mandatory | (quorum.allowed or frozenset())
    unregistered = expected - sites.registered
    needs = f"needs {quorum.min_sites} site{'s' * (quorum.min_sites != 1)}"
    if absent:
        needs += f", including {_list(absent)}"
    verb = "is" if len(sites.registered) == 1 else "are"
    names = f" ({_list(sites.registered)})" if sites.registered else ""
    parts = [f"{needs}, and {len(sites.registered)} {verb} registered{names}"]
    if silent := unregistered & sites.last_signs.keys():
        since = {site: f"{datetime.fromtimestamp(sites.last_signs[site]):%H:%M:%S}" for site in silent}
        parts.append(f"no sign of life: {_list(f'{site} (since {since[site]})' for site in silent)}")
    if never := unregistered - silent:
        parts.append(f"not registered: {_list(never)}")
    missing = quorum.min_sites - len(sites.registered | unregistered)
    if missing > 0:
        parts.append(f"{missing} more {'has' if missing == 1 else 'have'} never registered")
    remedy = (
        "Start the missing sites and submit the job again, or submit it for fewer sites."
        if is_permanent
        else "The job starts when they register. Start them, or abort the job and submit it for fewer sites."
    )
    return Finding("; ".join(parts), remedy, key="mandatory_clients" if absent else "min_clients")


def _deployed_sites(deploy_map: Any) -> frozenset[str] | None:
    """Return the sites to which a deploy_map sends an app; None for all sites."""
    if not isinstance(deploy_map, Mapping):
        return None
    names = [name for deployments in deploy_map.values() for name in participants(deployments)]
    if any(name.upper() == ALL_SITES for name in names):
        return None
    return frozenset(name for name in names if name != SERVER_SITE_NAME)


def _list(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _MAX_NAMES} more" if len(ordered) > _MAX_NAMES else ""
    return ", ".join(ordered[:_MAX_NAMES]) + more
