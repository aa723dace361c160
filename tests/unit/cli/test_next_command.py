"""The command that a message names acts in the same federation as the command before."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from deploy.cli import watch
from deploy.cli.app import app
from deploy.cli.next_command import next_command
from deploy.session.job import Job


@pytest.mark.parametrize(
    ("before", "after", "options"),
    [
        ([], [], ""),
        (["--project", "a b.yml"], ["--workspace", "w"], " --project 'a b.yml' --workspace w"),
        ([], ["--admin-kit", "kits/lead@example.org"], " --admin-kit kits/lead@example.org"),
        ([], ["--admin", "lead@example.org", "--json"], " --admin lead@example.org"),
    ],
)
def test_the_options_of_a_command_are_repeated(
    monkeypatch: pytest.MonkeyPatch, before: list[str], after: list[str], options: str
) -> None:
    shown: list[str] = []

    def stop(ctx: typer.Context) -> None:
        shown.append(next_command(ctx, "fetch", "4e8d"))
        raise typer.Exit

    monkeypatch.setattr(watch, "context_of", stop)
    CliRunner().invoke(app, [*before, "watch", "4e8d", *after])
    assert shown == [f"flarefleet fetch 4e8d{options}"]


def test_the_message_after_a_timeout_repeats_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Job.of({"job_id": "4e8d", "name": "probe", "status": "RUNNING"})
    session = SimpleNamespace(
        wait_for_server=lambda *_: None,
        job=lambda *_: running,
        progress=lambda _: None,
        jobs=lambda: (running,),
    )
    monkeypatch.setattr(watch, "admin_session", lambda *_: nullcontext(session))

    done = CliRunner().invoke(app, ["watch", "4e8d", "--timeout", "0", "--admin-kit", "kits/lead"])

    assert "flarefleet watch 4e8d --admin-kit kits/lead" in str(done.exception)
