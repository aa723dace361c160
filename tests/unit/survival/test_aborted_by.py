"""The administrator who aborted a job: from NVFlare's audit log into the meta of the job."""

from __future__ import annotations

from pathlib import Path

import pytest
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.job_def import RunStatus
from nvflare.apis.workspace import Workspace
from nvflare.fuel.sec.audit import Auditor

from deploy.session.session import Job
from fl_app.survival.aborted_by import aborted_by
from tests.unit.survival.server import Server

JOB, OTHER = "4f1c9d3e-0000-4000-8000-000000000001", "4f1c9d3e-0000-4000-8000-000000000002"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """The workspace of the server's parent."""
    for name in ("startup", "local"):
        (tmp_path / name).mkdir()
    return Workspace(str(tmp_path))


@pytest.fixture
def audit(workspace: Workspace) -> Auditor:
    """NVFlare's audit log of the server's parent."""
    return Auditor(workspace.get_audit_file_path())


def ended_as(status: RunStatus, workspace: Workspace) -> Job:
    """Return a job that ended with this status, as an administrator's session reads it."""
    server = Server(Path(workspace.get_root_dir()))
    manager, context = server.manager, server.new_context()
    context.set_prop(FLContextKey.WORKSPACE_OBJECT, workspace, private=True)
    manager.create({"job_id": JOB, "name": "hospital"}, b"", context)
    manager.set_status(JOB, status, context)
    stored = manager.get_job(JOB, context)
    assert stored is not None
    return Job.of(stored.meta)


def test_an_aborted_job_names_its_administrator(audit: Auditor, workspace: Workspace) -> None:
    audit.add_event("boss@example.org", f"abort_job {OTHER}")
    audit.add_event("lead@example.org", f"abort_job {JOB}")
    audit.add_event("boss@example.org", "list_jobs -d")
    job = ended_as(RunStatus.FINISHED_ABORTED, workspace)
    assert (job.status, job.aborted_by) == ("FINISHED:ABORTED", "lead@example.org")


def test_a_job_that_the_server_ended_names_nobody(audit: Auditor, workspace: Workspace) -> None:
    audit.add_event("lead@example.org", f"abort_job {JOB}")  # it came too late
    assert ended_as(RunStatus.FINISHED_COMPLETED, workspace).aborted_by == ""


def test_an_abort_by_nobody_names_nobody(workspace: Workspace) -> None:
    job = ended_as(RunStatus.FINISHED_ABORTED, workspace)
    assert (job.status, job.aborted_by) == ("FINISHED:ABORTED", "")


@pytest.mark.parametrize("command", ["abort_job {job}", 'abort_job "{job}"', "abort_job  {job} now"])
def test_the_command_may_be_typed_in_a_console(audit: Auditor, workspace: Workspace, command: str) -> None:
    audit.add_event("lead@example.org", command.format(job=JOB))
    assert aborted_by(Path(workspace.get_audit_file_path()), JOB) == "lead@example.org"


def test_an_argument_of_another_command_is_no_abort(audit: Auditor, workspace: Workspace) -> None:
    audit.add_event("lead@example.org", f"list_jobs [U:boss@example.org][A:abort_job {JOB}]")
    assert aborted_by(Path(workspace.get_audit_file_path()), JOB) == ""
