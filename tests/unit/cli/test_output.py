"""What commands print: as it is, and whole."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from deploy.runtimes.protocol import FederationStatus, SiteState, SiteStatus

LONG = "its pod is rejected: [red]quota[/] exceeded " + "and so on " * 60
STATUS = FederationStatus(
    project="clinics",
    runtime="process",
    sites=(SiteStatus(name="site-1", role="client", state=SiteState.NOT_READY, reason=LONG.strip()),),
)


@pytest.mark.parametrize("environment", [{"COLUMNS": "40"}, {"TERM": "dumb", "FORCE_COLOR": "1"}])
def test_status_in_a_pipe_is_one_whole_line_for_each_site(environment: dict[str, str]) -> None:
    program = (
        "from deploy.cli.federation import _table, out\n"
        "from deploy.runtimes.protocol import FederationStatus\n"
        f"out.print(_table(FederationStatus.model_validate_json({STATUS.model_dump_json()!r})))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert LONG.strip() in answer.stdout
    assert len(answer.stdout.splitlines()) == 2


@pytest.mark.parametrize("stream", ["out", "err"])
def test_brackets_in_a_message_are_printed_as_they_are(stream: str) -> None:
    program = f"from deploy.cli.output import {stream}; {stream}.print('[red]site[/red] [/] [x]')"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout + answer.stderr == "[red]site[/red] [/] [x]\n"
