"""Checks run in order, within their deadlines; and the page lists each of them."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from deploy.doctor.catalogue import all_checks
from deploy.doctor.examination import Group, Status, examine
from deploy.errors import Failed
from docs.tables import TABLES
from fl_app.checks.check import Category, Check, NotApplicable, Severity, require
from fl_app.startup import checks as startup

PAGE = Path(__file__).parents[3] / "docs" / "doctor.md"


def fail(text: str) -> str:
    raise Failed(f"{text} is wrong")


def check(name: str = "check", run=fail, **options) -> Check[str]:  # type: ignore[no-untyped-def]
    return Check(name, Category.MACHINE, "It is right.", "Make it right.", run, **options)


def statuses(*groups: Group) -> dict[str, Status]:
    return {result.name: result.status for result in examine(groups)}


def test_each_failure_has_its_severity_and_its_text() -> None:
    checks = [
        check("a"),
        check("b", severity=Severity.WARNING),
        check("c", lambda subject: f"{subject} is fine"),
    ]

    found = {
        result.name: (result.status, result.detail) for result in examine([Group(checks, lambda: "disk")])
    }

    assert found == {
        "a": (Status.ERROR, "disk is wrong"),
        "b": (Status.WARNING, "disk is wrong"),
        "c": (Status.OK, "disk is fine"),
    }


def test_a_fatal_failure_skips_the_rest_of_its_group_and_the_groups_that_need_it() -> None:
    found = statuses(
        Group([check("a", is_fatal=True), check("b")], lambda: ""),
        Group([check("c")], lambda: "", needs="a"),
        Group([check("d")], lambda: "", needs="c"),
        Group([check("e")], lambda: ""),
    )

    assert found == dict.fromkeys("ae", Status.ERROR) | dict.fromkeys("bcd", Status.SKIPPED)


def test_a_group_that_the_user_may_not_need_has_only_warnings() -> None:
    assert statuses(Group([check()], lambda: "", is_optional=True)) == {"check": Status.WARNING}


def test_a_check_without_a_result_fails_at_its_deadline() -> None:
    start = time.monotonic()

    (result,) = examine([Group([check(run=lambda _: time.sleep(60), deadline=0.2)], lambda: "")])

    assert time.monotonic() - start < 10
    assert result.status is Status.ERROR
    assert result.detail.startswith("no result after 0.2 s")
    assert "Make it right." not in result.detail  # it is not known that something is wrong


def test_a_check_that_does_not_apply_is_skipped_and_a_defect_is_raised() -> None:
    def skip(_: str) -> str:
        raise NotApplicable("no engine")

    def crash(_: str) -> str:
        raise ZeroDivisionError

    assert statuses(Group([check(run=skip)], lambda: "")) == {"check": Status.SKIPPED}
    with pytest.raises(ZeroDivisionError):
        statuses(Group([check(run=crash)], lambda: ""))


def test_a_start_stops_at_the_first_check_that_fails() -> None:
    ran: list[str] = []

    with pytest.raises(Failed, match="x is wrong"):
        require([check(run=ran.append), check(), check(run=ran.append)], "x")

    assert ran == ["x"]


def test_every_check_has_a_name_of_its_own_and_an_anchor_on_the_page() -> None:
    parent = (*startup.BEFORE, *startup.WORKSPACE, startup.PORTS, startup.COMPONENTS)
    checks = [one for one, _ in all_checks(parent)]
    names = [one.name for one in checks]

    assert len(names) == len(set(names)) > 35
    assert re.findall(r'<a id="([a-z-]+)"></a>', PAGE.read_text()) == names
    assert all(one.deadline > 0 and one.description and one.remedy for one in checks)
    assert "doctor.md" in TABLES
