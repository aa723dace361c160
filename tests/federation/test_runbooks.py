"""The runbooks' commands for a federation on this machine, run as documented."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.session.session import COMPLETED, RUNNING
from tests.documented import Command, commands_of_guides, expected, run, runbook_commands
from tests.federation.federation import ADMIN, SERVER, Federation, running
from tests.waiting import eventually

pytestmark = [pytest.mark.federation, pytest.mark.extended]

OUTPUT = {
    "-enddate": r"notAfter=",
    "-dates": r"subject=CN = site-1[\s\S]*issuer=CN = runbooks-[\s\S]*notAfter=",
    "sha256sum": r"^[0-9a-f]{64}",
    "date -u": r"UTC",
    "ss -ltnp": r"LISTEN",
    "getent hosts": r"localhost",
    "flarefleet --version": r"flarefleet \d",
    "flarefleet check": r"valid",
    "flarefleet logs hospital-1 --tail": r"\S",
    "flarefleet logs hospital-1 --since": r"\S",
    "flarefleet provision --dry-run": r"unchanged",
    "flarefleet doctor": r"\d+ ok, ",
    "flarefleet images list": r"/runtime:",
    "s_client": r"subject=CN = flare-server[\s\S]*issuer=CN = runbooks-",
    "flarefleet status": r"site-1",
    "flarefleet logs SITE": r"Successfully registered client",
    "flarefleet logs flare-server": r"\S",
    "flarefleet jobs": r"COMPLETED",
    "flarefleet watch": r"COMPLETED",
    "flarefleet fetch": r"logs",
    "flarefleet abort": r"abort requested",
    "du -sh": r"jobs-storage",
    "df -h": r"Avail",
}
"""Part of a command -> pattern that its output must contain."""
GUIDES = (
    "flarefleet logs hospital-1 --",
    "flarefleet provision --dry-run",
)
"""Commands of the guides that change nothing. Other tests run what the rest of the guides describes."""
COMMANDS = [*runbook_commands(of_clusters=False), *commands_of_guides(GUIDES)]
(DELETE,) = (one for one in COMMANDS if one.line.startswith("nvflare job delete"))
CASES = [pytest.param(command, id=str(command)) for command in COMMANDS if command != DELETE]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A server and a site; commands run in the folder of project.yml."""
    folder = tmp_path_factory.mktemp("runbooks")
    with running(folder, Federation, sites=1, name=f"runbooks-{os.getpid()}") as federation:
        yield federation


@pytest.fixture
def federation(shared: Federation) -> Federation:
    """The running federation, whatever the last command did."""
    if not shared.status().is_ready:
        shared.up()
    return shared


@pytest.fixture(scope="module")
def ended(shared: Federation) -> tuple[str, str]:
    """The ids of two completed jobs: one to read, one to delete."""
    shared.up()
    kept, deleted = (shared.submit("probe", rounds=1) for _ in range(2))
    for job_id in (kept, deleted):
        shared.wait_for_job(job_id, COMPLETED)
    return kept, deleted


def job_for(command: Command, federation: Federation, ended: tuple[str, str]) -> str:
    """Return the id of the job for a command."""
    if "abort" not in command.line:
        return ended[0]
    job_id = federation.submit("probe", rounds=10_000, seconds=1)
    federation.wait_for_job(job_id, RUNNING)
    return job_id


def folder_of(command: Command, federation: Federation) -> Path:
    """Return the folder in which a command runs: the release folder of the site, or that of project.yml."""
    if re.search(r" (key|kit)/", command.line):
        return federation.workspace.release / "site-1"
    return federation.folder


def filled_in_line(command: Command, federation: Federation, job_id: str) -> str:
    """Return the line with its placeholders and ports replaced."""
    port = str(federation.project.server.fed_learn_port)
    values = {
        "PROJECT": federation.project.name,
        "SITE": "site-1",
        "JOB-ID": job_id,
        "ADMIN": ADMIN,
        "SERVER": "localhost",
    }
    line = command.filled_in(values).replace("hospital-1", "site-1")
    return line.replace(":8002", f":{port}")


@pytest.mark.parametrize("command", CASES)
def test_a_command_of_a_runbook_works(
    federation: Federation, ended: tuple[str, str], command: Command
) -> None:
    job_id = job_for(command, federation, ended)
    shutil.rmtree(federation.folder / "results", ignore_errors=True)

    answer = run(filled_in_line(command, federation, job_id), folder_of(command, federation))

    for pattern in expected(command.line, OUTPUT):
        assert re.search(pattern, answer), answer


def test_key_and_certificate_of_a_release_folder_print_the_same_line(federation: Federation) -> None:
    key, certificate = (
        run(one.line, folder_of(one, federation)) for one in COMMANDS if "sha256sum" in one.line
    )

    assert key == certificate


def test_the_output_of_every_read_only_command_is_checked() -> None:
    changes = ("flarefleet up", "flarefleet down", "flarefleet provision")
    lines = [one.line for one in COMMANDS if one != DELETE and not one.line.startswith(changes)]

    assert [line for line in lines if not list(expected(line, OUTPUT))] == []


def test_the_model_and_the_event_files_of_a_deleted_job_are_deleted(
    federation: Federation, ended: tuple[str, str]
) -> None:
    kept, deleted = ended
    home = federation.run_folder.workspace(SERVER)
    event_files, store = home / "analytics", home / "jobs-storage"
    assert list((event_files / deleted).rglob("events.out.tfevents.*"))

    # Without --force the command asks for confirmation.
    run(f"{filled_in_line(DELETE, federation, deleted)} --force", federation.folder)

    assert {path.name for path in store.iterdir()} >= {kept}
    assert not (store / deleted).exists()
    eventually(lambda: not (event_files / deleted).exists(), 120, "the event files are deleted")
    assert (event_files / kept).is_dir()
