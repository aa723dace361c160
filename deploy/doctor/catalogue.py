"""Every check, and who makes it: the source of docs/doctor.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from deploy.doctor import handed_out, operator
from deploy.runtimes.choice import BACKENDS
from fl_app.checks import connectivity, credentials, machine, release_test
from fl_app.checks.check import Check

OPERATOR, SITE, ADMIN = "doctor", "doctor --release", "doctor --admin-kit"
START, UP, HELM_TEST = "start of a parent", "up", "helm test"


def _sources() -> Iterator[tuple[Iterable[Check[Any]], tuple[str, ...]]]:
    """Yield lists of checks with those who make them, without those that only a parent makes."""
    yield (operator.PROJECT, *operator.WORKSPACE), (OPERATOR,)
    yield handed_out.RELEASE, (SITE,)
    yield handed_out.ADMIN, (ADMIN,)
    yield credentials.CHECKS, (SITE, ADMIN, START)
    yield (credentials.EXPIRY,), (SITE, ADMIN)
    yield connectivity.CHECKS, (SITE, ADMIN, START)
    yield (machine.DISK_SPACE,), (OPERATOR, SITE, START)
    yield (machine.CLOCK,), (OPERATOR, SITE, ADMIN)
    for name in BACKENDS:
        yield operator.preflight(name), (OPERATOR, UP)
    yield (operator.DOCKER_IMAGES,), (OPERATOR,)
    yield handed_out.SITE, (SITE,)
    yield (operator.SITES,), (OPERATOR,)
    yield release_test.CHECKS, (HELM_TEST,)


def all_checks(parent_checks: Iterable[Check[Any]] = ()) -> list[tuple[Check[Any], tuple[str, ...]]]:
    """Return each check with those who make it.

    Args:
        parent_checks: the checks that only a parent makes, which `deploy` cannot import.
    """
    listed = [(check, users) for checks, users in _sources() for check in checks]
    return [*listed, *((check, (START,)) for check in parent_checks)]


def table(checks: Iterable[tuple[Check[Any], tuple[str, ...]]]) -> str:
    """Return a Markdown table with an anchor for each check."""
    lines = [
        "| check | holds if it succeeds | if it fails | severity | deadline | made by |",
        "|---|---|---|---|---|---|",
    ]
    for check, users in checks:
        made_by = ", ".join(f"`{user}`" if user != START else user for user in users)
        lines.append(
            f'| <a id="{check.name}"></a>`{check.name}` ({check.category.value}) | {check.description} '
            f"| {check.remedy} | {check.severity.value} | {check.deadline:.0f} s | {made_by} |"
        )
    return "\n".join(lines)
