"""Each reason why a parent cannot start has its message and its exit code."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from fl_app.contract import KIT_FACTS
from fl_app.startup.exit_codes import Exit
from tests.federation.certificates import reissue
from tests.federation.federation import SERVER, Federation, write_project
from tests.federation.parent import Parent
from tests.waiting import eventually

pytestmark = pytest.mark.federation

Start = Callable[..., Parent]


def assert_cannot_run(parent: Parent, code: Exit, *texts: str) -> None:
    """Assert that the parent exits with `code` and that its last line contains these texts."""
    assert parent.wait() == code, parent.log.read_text()
    line = parent.last_line()
    assert line.startswith("flarefleet: cannot run: ")
    assert code.name in line
    for text in texts:
        assert text in line
    assert "Traceback" not in parent.log.read_text()


def test_a_missing_kit_is_reported(start: Start, tmp_path: Path) -> None:
    assert_cannot_run(
        start(tmp_path / "nowhere", tmp_path / "ws"), Exit.KIT, "no startup kit", str(tmp_path / "nowhere")
    )


def test_a_kit_for_another_nvflare_release_is_rejected(
    kit: Callable[[str], Path], start: Start, tmp_path: Path
) -> None:
    site = kit("site-1")
    facts = site / "local" / KIT_FACTS
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"nvflare": "2.6.0"}))

    assert_cannot_run(start(site, tmp_path / "ws"), Exit.VERSION, "2.6.0", "2.9.0")


def test_the_key_of_another_site_is_rejected(
    kit: Callable[[str], Path], federation: Federation, start: Start, tmp_path: Path
) -> None:
    site = kit("site-1")
    shutil.copy(federation.kit("site-2") / "startup" / "client.key", site / "startup" / "client.key")

    assert_cannot_run(start(site, tmp_path / "ws"), Exit.KEY, "does not match the certificate", "site-1")


def test_a_separate_key_takes_precedence_over_the_kits_own(
    kit: Callable[[str], Path], federation: Federation, start: Start, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    shutil.copy(federation.kit("site-2") / "startup" / "client.key", secret)

    parent = start(kit("site-1"), tmp_path / "ws", FLARE_KEY=str(secret))

    assert_cannot_run(parent, Exit.KEY, str(secret / "client.key"))


def test_a_missing_key_is_reported(kit: Callable[[str], Path], start: Start, tmp_path: Path) -> None:
    site = kit("site-1")
    (site / "startup" / "client.key").unlink()

    assert_cannot_run(start(site, tmp_path / "ws"), Exit.KEY, "client.key is missing")


def test_an_expired_certificate_is_reported_with_its_date(
    kit: Callable[[str], Path], federation: Federation, start: Start, tmp_path: Path
) -> None:
    site = kit("site-1")
    reissue(federation.workspace, site / "startup" / "client.crt", begin_days=-30, end_days=-2)
    day = f"{datetime.now(timezone.utc) - timedelta(days=2):%Y-%m-%d}"

    assert_cannot_run(
        start(site, tmp_path / "ws"), Exit.CERTIFICATE, f"expired on {day}", "flarefleet provision --renew"
    )


def test_a_certificate_that_is_not_valid_yet_suggests_to_check_the_clock(
    kit: Callable[[str], Path], federation: Federation, start: Start, tmp_path: Path
) -> None:
    site = kit("site-1")
    reissue(federation.workspace, site / "startup" / "client.crt", begin_days=3, end_days=30)

    assert_cannot_run(start(site, tmp_path / "ws"), Exit.CERTIFICATE, "not valid before", "clock")


def test_the_certificate_of_another_site_is_rejected(
    kit: Callable[[str], Path], federation: Federation, start: Start, tmp_path: Path
) -> None:
    site = kit("site-1")
    for file in ("client.crt", "client.key"):
        shutil.copy(federation.kit("site-2") / "startup" / file, site / "startup" / file)

    assert_cannot_run(start(site, tmp_path / "ws"), Exit.CERTIFICATE, "belongs to site-2, the kit to site-1")


def test_a_workspace_that_is_not_writable_is_reported(
    federation: Federation, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "ws").touch()  # root can write to every folder, but not to a file

    assert_cannot_run(start(federation.kit("site-1"), tmp_path / "ws"), Exit.WORKSPACE, "not writable")


def test_a_workspace_that_another_parent_uses_is_rejected(
    federation: Federation, server: Parent, start: Start, tmp_path: Path
) -> None:
    second = start(federation.kit(SERVER), tmp_path / SERVER)

    assert_cannot_run(second, Exit.IN_USE, "another parent (process")
    assert server.is_ready()


def test_a_federation_port_in_use_is_reported(
    federation: Federation, server: Parent, start: Start, tmp_path: Path
) -> None:
    second = start(federation.kit(SERVER), tmp_path / "second")

    assert_cannot_run(
        second, Exit.PORT, f"port {federation.project.server.fed_learn_port} (of the federation)"
    )


def test_a_telemetry_port_in_use_is_reported(federation: Federation, start: Start, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        parent = start(federation.kit("site-1"), tmp_path / "ws", FLARE_TELEMETRY_PORT=str(port))

        assert_cannot_run(parent, Exit.PORT, f"port {port} (of telemetry)")


def test_a_component_that_cannot_be_imported_is_reported_with_its_file(
    kit: Callable[[str], Path], start: Start, tmp_path: Path
) -> None:
    site = kit("site-1")
    document = {"format_version": 2, "components": [{"id": "extra", "path": "no_such_package.Extra"}]}
    (site / "local" / "extra__p_resources.json").write_text(json.dumps(document))

    assert_cannot_run(
        start(site, tmp_path / "ws"),
        Exit.CONFIGURATION,
        "extra__p_resources.json",
        "extra",
        "no_such_package.Extra",
    )


def test_a_local_file_that_is_not_json_is_reported(
    kit: Callable[[str], Path], start: Start, tmp_path: Path
) -> None:
    site = kit("site-1")
    (site / "local" / "privacy.json").write_text("{scopes:")

    assert_cannot_run(start(site, tmp_path / "ws"), Exit.CONFIGURATION, "privacy.json", "not JSON")


def test_a_server_name_that_does_not_resolve_is_reported(
    federation: Federation, start: Start, tmp_path: Path
) -> None:
    parent = start(
        federation.kit("site-1"),
        tmp_path / "ws",
        FLARE_SERVER_ADDRESS="no-such-server.invalid:8002",
        FLARE_SERVER_WAIT="0.5",
    )

    assert_cannot_run(parent, Exit.SERVER_NAME, "no-such-server.invalid does not resolve")


def test_a_server_that_does_not_answer_is_reported(
    federation: Federation, start: Start, tmp_path: Path
) -> None:
    parent = start(federation.kit("site-1"), tmp_path / "ws", FLARE_SERVER_WAIT="0.5")

    assert_cannot_run(
        parent,
        Exit.SERVER_UNREACHABLE,
        f"localhost:{federation.project.server.fed_learn_port} does not answer",
    )


def test_the_server_of_another_federation_is_rejected(
    federation: Federation, server: Parent, start: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = Federation(write_project(folder, sites=1, port=federation.project.server.fed_learn_port).parent)

    assert_cannot_run(
        start(other.kit("site-1"), tmp_path / "ws"), Exit.SERVER_CERTIFICATE, "another federation"
    )
    assert server.is_ready()


@pytest.mark.parametrize("scheme", ["grpc", "http", "tcp"])
def test_each_scheme_checks_the_name_in_the_certificate_as_its_driver_does(
    scheme: str, start: Start, tmp_path: Path
) -> None:
    federation = Federation(write_project(tmp_path, sites=1, scheme=scheme).parent)
    port = federation.project.server.fed_learn_port
    server = start(federation.kit(SERVER), tmp_path / SERVER)
    site = start(federation.kit("site-1"), tmp_path / "site-1")
    eventually(site.is_ready, what="the site is ready")
    site.stop()

    by_address = start(
        federation.kit("site-1"), tmp_path / "site-1", FLARE_SERVER_ADDRESS=f"127.0.0.1:{port}"
    )

    if scheme == "grpc":
        assert_cannot_run(by_address, Exit.SERVER_CERTIFICATE, "not for 127.0.0.1", "host_names")
    else:
        eventually(by_address.is_ready, what="the site is ready under another name")
    assert server.is_ready()


def test_the_message_is_written_to_the_termination_log(start: Start, tmp_path: Path) -> None:
    termination_log = tmp_path / "termination-log"

    parent = start(tmp_path / "nowhere", tmp_path / "ws", FLARE_TERMINATION_LOG=str(termination_log))

    parent.wait()
    assert termination_log.read_text().strip() == parent.last_line()


def test_an_invalid_setting_is_reported(start: Start, tmp_path: Path) -> None:
    parent = start(tmp_path, tmp_path / "ws", FLARE_PARENT_PORT="eighty")

    assert_cannot_run(parent, Exit.SETTINGS, "FLARE_PARENT_PORT=eighty")


def test_a_refused_registration_is_reported_with_the_servers_reason(
    kit: Callable[[str], Path], server: Parent, start: Start, tmp_path: Path
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
