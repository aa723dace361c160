"""The checks of `helm test`: readiness with its reason, and the certificate on the federation port."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.ports import free_ports
from fl_app.checks.check import CheckFailed
from fl_app.checks.release_test import Release, check_federation_port, main
from tests.unit.checks.servers import telemetry, tls_server
from tests.unit.provision.federation import SERVER, Federation


def test_a_ready_site_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    with telemetry(200, {"ready": True}) as url:
        assert main(["site-1", url, "5"]) == 0

    assert 'ready: {"ready": true}' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "reason"),
    [({"reason": "not registered"}, "not registered"), ([], "its telemetry answers 503")],
)
def test_a_site_that_is_not_ready_fails_with_its_reason(
    body: object, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with telemetry(503, body) as url:
        assert main(["site-2", url, "0"]) == 1

    assert capsys.readouterr().err.strip() == f"site-2 is not ready: {reason}"


def test_a_parent_without_telemetry_fails_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["site-2", f"http://127.0.0.1:{free_ports(1)[0]}", "0"]) == 1

    assert "Connection refused" in capsys.readouterr().err


def test_a_server_must_have_a_certificate_of_its_federation(untouched: Federation, tmp_path: Path) -> None:
    kit = untouched.workspace.kit(SERVER)
    with tls_server(kit) as port, telemetry(200, {}) as url:
        release = Release("server", url, 0, ("127.0.0.1", port), kit / "startup" / "rootCA.pem")
        assert "certificate valid until" in str(check_federation_port(release))

        other = Federation(tmp_path)
        other.document = untouched.document
        other.provision()
        root = other.workspace.kit(SERVER) / "startup" / "rootCA.pem"
        with pytest.raises(CheckFailed, match="certificate verify failed"):
            check_federation_port(replace(release, root_certificate=root))
