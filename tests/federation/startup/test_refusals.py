"""Each reason why a parent cannot start has its message and its exit code."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from fl_app.checks.exit_codes import Exit
from fl_app.contract import KIT_FACTS
from tests.federation.certificates import reissue
from tests.federation.federation import SERVER, Federation, write_project
from tests.federation.startup.conftest import CopyKit, Start, assert_cannot_run
from tests.waiting import eventually

pytestmark = pytest.mark.federation

EXTRA = {"format_version": 2, "components": [{"id": "extra", "path": "no_such_package.Extra"}]}
DAY = f"{datetime.now(timezone.utc) - timedelta(days=2):%Y-%m-%d}"

Change = Callable[[Path, Federation], object]
"""Makes the kit of site-1 invalid."""


def local(name: str, text: str) -> Change:
    return lambda site, _: (site / "local" / name).write_text(text)


def of_release_2_6(site: Path, _: Federation) -> None:
    facts = site / "local" / KIT_FACTS
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"nvflare": "2.6.0"}))


def of_site_2(*names: str) -> Change:
    def change(site: Path, federation: Federation) -> None:
        for name in names:
            shutil.copy(federation.kit("site-2") / "startup" / name, site / "startup" / name)

    return change


def valid_for(begin: int, end: int) -> Change:
    return lambda site, made: reissue(made.workspace, site / "startup" / "client.crt", begin, end)


INVALID_KITS: dict[str, tuple[Change, Exit, str]] = {
    "another release": (of_release_2_6, Exit.VERSION, "2.6.0|2.9.0"),
    "another site's key": (of_site_2("client.key"), Exit.KEY, "does not match the certificate|site-1"),
    "no key": (lambda site, _: (site / "startup/client.key").unlink(), Exit.KEY, "client.key is missing"),
    "expired": (valid_for(-30, -2), Exit.CERTIFICATE, f"expired on {DAY}|flarefleet provision --renew"),
    "not valid yet": (valid_for(3, 30), Exit.CERTIFICATE, "not valid before|clock"),
    "another site's certificate": (
        of_site_2("client.crt", "client.key"),
        Exit.CERTIFICATE,
        "belongs to site-2, the kit to site-1",
    ),
    "a component that cannot be imported": (
        local("extra__p_resources.json", json.dumps(EXTRA)),
        Exit.CONFIGURATION,
        "extra__p_resources.json|extra|no_such_package.Extra",
    ),
    "not JSON": (local("privacy.json", "{scopes:"), Exit.CONFIGURATION, "privacy.json|not JSON"),
}
"""What is invalid -> how to make it so, the exit code, and texts of the message."""


@pytest.mark.parametrize("invalid", INVALID_KITS)
def test_an_invalid_kit_is_reported(
    kit: CopyKit, federation: Federation, start: Start, tmp_path: Path, invalid: str
) -> None:
    change, code, texts = INVALID_KITS[invalid]
    site = kit("site-1")
    change(site, federation)

    assert_cannot_run(start(site, tmp_path / "ws"), code, *texts.split("|"))


def test_a_missing_kit_is_reported_and_its_message_is_written_to_the_termination_log(
    start: Start, tmp_path: Path
) -> None:
    termination_log = tmp_path / "termination-log"

    parent = start(tmp_path / "nowhere", tmp_path / "ws", FLARE_TERMINATION_LOG=str(termination_log))

    assert_cannot_run(parent, Exit.KIT, "no startup kit", str(tmp_path / "nowhere"))
    assert termination_log.read_text().strip() == parent.last_line()


def test_a_separate_key_takes_precedence_over_the_kits_own(
    kit: CopyKit, federation: Federation, start: Start, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    shutil.copy(federation.kit("site-2") / "startup" / "client.key", secret)

    parent = start(kit("site-1"), tmp_path / "ws", FLARE_KEY=str(secret))

    assert_cannot_run(parent, Exit.KEY, str(secret / "client.key"))


def test_a_workspace_that_is_not_writable_is_reported(
    federation: Federation, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "ws").touch()  # root can write to every folder, but not to a file

    assert_cannot_run(start(federation.kit("site-1"), tmp_path / "ws"), Exit.WORKSPACE, "not writable")


def test_a_telemetry_port_in_use_is_reported(federation: Federation, start: Start, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        parent = start(federation.kit("site-1"), tmp_path / "ws", FLARE_TELEMETRY_PORT=str(port))

        assert_cannot_run(parent, Exit.PORT, f"port {port} (of telemetry)")


def test_an_invalid_setting_is_reported(start: Start, tmp_path: Path) -> None:
    parent = start(tmp_path, tmp_path / "ws", FLARE_PARENT_PORT="eighty")

    assert_cannot_run(parent, Exit.SETTINGS, "FLARE_PARENT_PORT=eighty")


def test_a_server_name_that_does_not_resolve_is_reported(
    federation: Federation, start: Start, tmp_path: Path
) -> None:
    server = {"FLARE_SERVER_ADDRESS": "no-such-server.invalid:8002", "FLARE_SERVER_WAIT": "0.5"}

    parent = start(federation.kit("site-1"), tmp_path / "ws", **server)

    assert_cannot_run(parent, Exit.SERVER_NAME, "no-such-server.invalid does not resolve")


def test_a_server_that_does_not_answer_is_reported(
    federation: Federation, start: Start, tmp_path: Path
) -> None:
    parent = start(federation.kit("site-1"), tmp_path / "ws", FLARE_SERVER_WAIT="0.5")

    port = federation.project.server.fed_learn_port
    assert_cannot_run(parent, Exit.SERVER_UNREACHABLE, f"localhost:{port} does not answer")


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
