"""Telemetry of parents: metrics, and readiness when a server, a site or a network fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from deploy.ports import free_ports
from deploy.runtimes.protocol import SiteState
from tests.federation.federation import SERVER, Federation, ask, running, write_project
from tests.federation.parent import Parent
from tests.waiting import eventually

pytestmark = pytest.mark.federation


def test_every_parent_reports_its_identity(federation: Federation) -> None:
    for name, role in ((SERVER, "server"), ("site-1", "client")):
        assert federation.metric(name, "nvflare_build_info", site=name, role=role, nvflare="2.9.0") == 1
        assert federation.metric(name, "nvflare_up", site=name, role=role) == 1
        assert federation.metric(name, "nvflare_ready", site=name, role=role) == 1
        assert federation.metric(name, "nvflare_telemetry_errors_total", site=name) == 0
        assert federation.metric(name, "process_start_time_seconds") is not None


def test_server_and_site_report_registration_and_last_contact(federation: Federation) -> None:
    for reporter, role in ((SERVER, "server"), ("site-1", "client")):
        assert federation.metric(reporter, "nvflare_registered", site="site-1", role=role) == 1
        contact = federation.metric(
            reporter, "nvflare_last_contact_timestamp_seconds", site="site-1", role=role
        )
        assert contact is not None
        assert 0 <= time.time() - contact < 40


def test_every_job_status_has_a_count_from_zero_on(federation: Federation) -> None:
    for status in ("SUBMITTED", "RUNNING", "FINISHED:COMPLETED", "FINISHED:EXECUTION_EXCEPTION"):
        assert federation.metric(SERVER, "nvflare_jobs", site=SERVER, status=status) == 0
    assert federation.metric("site-1", "nvflare_jobs", site="site-1", status="RUNNING") == 0


def test_the_expiry_of_certificates_is_reported(federation: Federation) -> None:
    certificate = x509.load_pem_x509_certificate(
        (federation.kit("site-1") / "startup" / "client.crt").read_bytes()
    )

    expiry = federation.metric(
        "site-1", "nvflare_certificate_expiry_timestamp_seconds", site="site-1", certificate="own"
    )

    assert expiry == certificate.not_valid_after_utc.timestamp()
    assert federation.metric(
        "site-1", "nvflare_certificate_expiry_timestamp_seconds", site="site-1", certificate="root"
    )


def test_a_site_is_not_ready_if_its_server_does_not_answer(new_federation: Callable[..., Federation]) -> None:
    federation = new_federation()
    federation.up()

    federation.lose(SERVER)

    eventually(lambda: federation.site("site-1").state is SiteState.NOT_READY, 60, "the site is not ready")
    assert "has not answered for" in federation.site("site-1").reason
    assert federation.ask("site-1", "/healthz")[0] == 200, "a restart of the site does not help"
    federation.up()
    eventually(lambda: federation.site("site-1").state is SiteState.READY, 40, "the site is ready again")


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A federation in which site-2 is gone."""
    folder = tmp_path_factory.mktemp("disturbed")
    with running(folder, Federation, sites=2) as federation:
        federation.lose("site-2")
        yield federation


def test_a_second_process_with_a_kit_is_refused_until_the_first_is_silent(
    disturbed: Federation, start: Callable[..., Parent], tmp_path: Path
) -> None:
    other = "another process uses this kit"
    first = disturbed.parent("site-1")
    second = start(disturbed.kit("site-1"), tmp_path / "second")
    eventually(lambda: other in str(second.readiness().get("reason")), 30, "the second is refused")
    assert disturbed.site("site-1").state is SiteState.READY

    first.suspend()
    eventually(second.is_ready, 45, "the second takes over")

    first.resume()
    eventually(lambda: other in disturbed.site("site-1").reason, 25, "the first says why it is not ready")
    assert second.is_ready()


def test_the_server_reports_a_lost_site(disturbed: Federation) -> None:
    eventually(
        lambda: disturbed.metric(SERVER, "nvflare_registered", site="site-2", role="server") == 0,
        60,
        "the site is not registered, long before NVFlare's 600 s",
    )
    assert disturbed.site(SERVER).state is SiteState.READY


def test_telemetry_works_without_the_startup_of_the_kit(tmp_path: Path) -> None:
    """NVFlare's own start script reads the same local/; the component then opens the port."""
    federation = Federation(write_project(tmp_path, sites=1).parent)
    kit = federation.kit(SERVER)
    resources = kit / "local" / "resources.json.default"
    resources.write_text(resources.read_text().replace("/var/lib/flare", str(tmp_path / "store")))
    port = free_ports(1)[0]
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "nvflare.private.fed.app.server.server_train"),
            *("-m", str(kit), "-s", "fed_server.json", "--set", "secure_train=true", "org=clinics"),
            "config_folder=config",
        ],
        env={**os.environ, "FLARE_TELEMETRY_HOST": "127.0.0.1", "FLARE_TELEMETRY_PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def is_ready() -> bool:
        try:
            return bool(json.loads(ask("127.0.0.1", port, "/readyz")[1])["ready"])
        except OSError:
            return False

    try:
        eventually(is_ready, what="the server is ready")
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
