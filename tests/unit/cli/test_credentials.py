"""Commands and a credentials file that is missing or readable by others."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.app import app
from tests.federation.federation import write_project


@pytest.mark.parametrize("mode", [None, 0o644], ids=["missing", "readable by others"])
@pytest.mark.parametrize(
    ("command", "is_rejected"),
    [("check", True), ("provision", True), ("up", True), ("status", False), ("down", False)],
)
def test_only_commands_that_need_the_credentials_reject_their_file(
    tmp_path: Path, command: str, is_rejected: bool, mode: int | None
) -> None:
    file = write_project(tmp_path, sites=1)
    file.write_text(f"{file.read_text()}\ndeployment: {{tracking: {{credentials: a.env}}}}\n")
    if mode is not None:
        (tmp_path / "a.env").touch(mode)

    answer = CliRunner().invoke(app, ["--project", str(file), "--workspace", str(tmp_path / "w"), command])

    assert ("deployment.tracking.credentials" in str(answer.exception)) is is_rejected
    if not is_rejected:
        assert "clinics is" in answer.output
