"""The exit status of the console for commands from a pipe."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.fuel.hci.client.api import CommandInfo
from nvflare.fuel.hci.client.api_status import APIStatus
from nvflare.fuel.hci.proto import Buffer, MetaStatusValue, make_meta
from nvflare.fuel.hci.tools import admin

from deploy.session.console_program import PipedConsole, main


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore what the program changes."""
    monkeypatch.setattr(PipedConsole, "failed", [])
    monkeypatch.setattr(PipedConsole, "has_session", False)
    monkeypatch.setattr(admin, "AdminClient", admin.AdminClient)


def answer(command: str) -> dict[str, Any]:
    """Return the answer of a server."""
    reply = Buffer()
    match command.split():
        case ["list_jobs"]:
            reply.append_string("no jobs", meta=make_meta(MetaStatusValue.OK))
        case ["abort_job", *_]:
            reply.append_error("no such job", meta=make_meta(MetaStatusValue.INVALID_JOB_ID))
        case ["shell", *_]:
            reply.append_string("denied", meta=make_meta(MetaStatusValue.NOT_AUTHORIZED))
    return {**reply.output, "status": APIStatus.SUCCESS}


@pytest.mark.parametrize(
    ("typed", "status", "failed"),
    [
        ("list_jobs", 0, ""),
        ("help\nlist_jobs", 0, ""),
        ("foo_bar\nlist_jobs", 1, "The command failed: foo_bar\n"),
        ("abort_job 28b4", 1, "The command failed: abort_job 28b4\n"),
        ("shell ls", 1, "The command failed: shell ls\n"),
    ],
)
def test_the_exit_status_says_whether_all_commands_succeeded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, status: int, failed: str
) -> None:
    def check(command: str) -> CommandInfo:
        return CommandInfo.UNKNOWN if command.startswith("foo") else CommandInfo.OK

    def run() -> None:
        console = admin.AdminClient.__new__(admin.AdminClient)
        no_commands = SimpleNamespace(scopes={})
        console.__dict__ |= {
            "stdout": io.StringIO(), "out_file": None, "no_stdout": False, "user_name": "ada", "prompt": "",
            "cmdqueue": [*typed.splitlines(), "bye"], "use_rawinput": False, "completekey": "",
            "cli_history_file": "/nowhere", "debug": False, "postcmd": lambda stop, line: stop,
            "api": SimpleNamespace(
                check_command=check, do_command=lambda line, props: answer(line), shutdown_received=False,
                logout=lambda: None, client_cmd_reg=no_commands, server_cmd_reg=no_commands,
            ),
        }  # fmt: skip
        console.cmdloop()

    monkeypatch.setattr(admin, "main", run)

    assert main() == status
    assert capsys.readouterr().err == failed


def test_a_login_that_fails_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "main", lambda: None)

    assert main() == 1
