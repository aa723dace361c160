"""Messages about requests that the server denies."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.fuel.flare_api.api_spec import AuthorizationError

from deploy.session.requests import PermissionDenied, ServerRequests

ADMIN: Any = SimpleNamespace(user="ds@uni.de", address="localhost:8002")


def denied(action: str, job_id: str = "") -> str:
    def deny(_: object) -> None:
        user = f"user 'ds@uni.de' is not authorized for '{action}'"
        raise AuthorizationError(f"user not authorized for the action '{action} {job_id}: {user}'")

    with pytest.raises(PermissionDenied) as error:
        ServerRequests(ADMIN, lambda: None).send(deny, job_id)
    return str(error.value)


def test_the_job_of_another_administrator_is_named_with_those_who_may() -> None:
    assert denied("download_job", "a799") == (
        "the server denied the request of ds@uni.de for the job a799 (download_job): only its submitter and "
        "administrators with the role project_admin may do that. Show who submitted it: flarefleet jobs"
    )


def test_a_role_that_may_not_submit_is_a_question_for_the_operator() -> None:
    assert denied("submit_job") == (
        "the server denied the request of ds@uni.de (submit_job): the role of this administrator does not "
        "allow it. Ask the operator of the server"
    )
