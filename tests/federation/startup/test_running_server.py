"""Parents beside a running server, which all tests share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_app.checks.exit_codes import Exit
from tests.federation.federation import SERVER, Federation, write_project
from tests.federation.parent import Parent
from tests.federation.startup.conftest import CopyKit, Start, assert_cannot_run
from tests.waiting import eventually

pytestmark = pytest.mark.federation


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of the server."""
    return tmp_path_factory.mktemp("running") / SERVER


@pytest.fixture(scope="module", autouse=True)
def running(federation: Federation, workspace: Path) -> Iterator[Parent]:
    """The server."""
    parent = Parent(federation.kit(SERVER), workspace)
    try:
        eventually(parent.is_ready, what="the server is ready")
        yield parent
    finally:
        parent.end()


@pytest.fixture(autouse=True)
def _is_not_disturbed(running: Parent) -> Iterator[None]:
    yield
    assert running.is_ready()


def test_a_workspace_that_another_parent_uses_is_rejected(
    federation: Federation, workspace: Path, start: Start
) -> None:
    assert_cannot_run(start(federation.kit(SERVER), workspace), Exit.IN_USE, "another parent (process")


def test_a_federation_port_in_use_is_reported(federation: Federation, start: Start, tmp_path: Path) -> None:
    second = start(federation.kit(SERVER), tmp_path / "second")

    port = federation.project.server.fed_learn_port
    assert_cannot_run(second, Exit.PORT, f"port {port} (of the federation)")


def test_the_server_of_another_federation_is_rejected(
    federation: Federation, start: Start, tmp_path: Path
) -> None:
    other = Federation(write_project(tmp_path, sites=1, port=federation.project.server.fed_learn_port).parent)

    site = start(other.kit("site-1"), tmp_path / "ws")

    assert_cannot_run(site, Exit.SERVER_CERTIFICATE, "another federation")


def test_a_refused_registration_is_reported_with_the_servers_reason(
    kit: CopyKit, start: Start, tmp_path: Path
) -> None:
    """The site's kit names another project of the same certificate authority."""
    site = kit("site-1")
    client = site / "startup" / "fed_client.json"
    document = json.loads(client.read_text())
    document["servers"][0]["name"] = "another"
    client.write_text(json.dumps(document))

    parent = start(site, tmp_path / "site-1")

    assert parent.wait(60) == Exit.REFUSED
    assert "the server refused the registration of this site" in parent.last_line()


def test_a_parent_changes_no_file_of_its_kit_and_does_not_copy_the_key(
    federation: Federation, start: Start, tmp_path: Path
) -> None:
    before = _content(federation.kit("site-1"))
    site = start(federation.kit("site-1"), tmp_path / "site-1")
    eventually(site.is_ready, what="the site is ready")

    assert _content(federation.kit("site-1")) == before
    secret = (federation.kit("site-1") / "startup" / "client.key").read_bytes()
    for file in (tmp_path / "site-1").rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert secret not in file.read_bytes(), file


def _content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
