"""The logs of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.cli.context import Context
from deploy.cli.job_logs import _end, _not_shared, names_site
from deploy.errors import InputError
from deploy.session.job import Job
from deploy.session.job_logs import continuation, read_logs
from deploy.session.requests import PermissionDenied
from tests.federation.project_file import write_project


@pytest.mark.parametrize(
    ("before", "now", "gained"),
    [
        ("", "one\n", "one\n"),
        ("one\n", "one\ntwo\n", "two\n"),
        ("one\n", "one\n", ""),
        ("a" * 500 + "one\n", "... output truncated ...\n" + "a" * 450 + "one\ntwo\n", "two\n"),
        ("of the first process\n", "of the second\n", "of the second\n"),
    ],
)
def test_only_what_a_log_has_gained_is_printed_again(before: str, now: str, gained: str) -> None:
    assert continuation(before, now) == gained


class Session:
    """A session with a job at north and south, of which the server has some logs."""

    def __init__(self, logs: dict[str, str], errors: dict[str, str], may_read: bool = True) -> None:
        self._logs = logs
        self._errors = errors
        self._may_read = may_read

    def logs(self, job_id: str, site: str) -> dict[str, str]:
        if not self._may_read:
            raise PermissionDenied("not allowed")
        return self._logs

    def server_log(self, job_id: str) -> str:
        return "of the results"

    def error_logs(self, job_id: str) -> dict[str, str]:
        return self._errors

    def job(self, job_id: str) -> Job:
        targets = {"app": ["server", "north", "south"]}
        return Job.of({"job_id": job_id, "name": "probe", "status": "RUNNING", "deploy_map": targets})


def read(session: Session, *sites: str) -> tuple[dict[str, str], tuple[str, ...]]:
    as_any: Any = session
    found = read_logs(as_any, "1", sites)
    return found.logs, found.missing


def test_the_error_log_of_a_site_stands_for_a_log_that_it_keeps() -> None:
    session = Session({"server": "started", "north": "trained"}, {"north": "error", "south": "out of memory"})
    assert read(session) == ({"server": "started", "north": "trained", "south": "out of memory"}, ())
    assert read(session, "south") == ({"south": "out of memory"}, ())


def test_sites_whose_log_the_server_lacks_are_named_with_who_can_share_it() -> None:
    logs, missing = read(Session({"server": "started"}, {}))
    assert (list(logs), missing) == (["server"], ("north", "south"))
    text = _not_shared("1", missing)
    assert "no log of north, south" in text
    assert "the operator writes `logs: shared` under deployment in project.yml" in text
    assert "1/log.txt in the workspace of the site" in text


def test_without_permission_the_log_of_the_server_is_read_from_the_results() -> None:
    assert read(Session({}, {}, may_read=False), "server") == ({"server": "of the results"}, ())


def test_a_name_of_project_yml_is_a_site_and_anything_else_a_job(tmp_path: Path) -> None:
    context = Context(write_project(tmp_path, sites=1), tmp_path)
    assert names_site(context, "site-1")
    assert not names_site(context, "latest")
    assert not names_site(context, "28b4")
    with pytest.raises(InputError, match="no server or site sitte-1; available: flare-server, site-1"):
        names_site(context, "sitte-1")


def test_without_project_yml_the_log_of_a_site_is_that_of_a_job(tmp_path: Path) -> None:
    context = Context(tmp_path / "project.yml", tmp_path)
    assert not names_site(context, "latest")
    with pytest.raises(InputError, match="flarefleet logs JOB --site site-1"):
        names_site(context, "site-1")


@pytest.mark.parametrize(("lines", "end"), [(0, ""), (1, "two"), (5, "one\ntwo")])
def test_the_end_of_a_log_has_that_many_lines(lines: int, end: str) -> None:
    assert _end("one\ntwo\n", lines) == end
