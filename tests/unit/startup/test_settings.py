"""Settings of a parent: defaults for containers, and invalid values."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.startup.settings import Settings


def test_the_defaults_fit_a_container() -> None:
    settings = Settings.read()

    assert settings.kit == Path("/etc/flare/kit")
    assert settings.key == Path("/run/secrets/flare")
    assert settings.workspace == Path("/var/lib/flare")
    assert (settings.parent_port, settings.telemetry_port) == (8102, 9464)
    assert settings.telemetry_host == "0.0.0.0"
    assert settings.server_address is None
    assert settings.server_wait == 60
    assert (settings.site_patience, settings.task_timeout) == (3600, 86400)
    assert (settings.survival, settings.site_wait) == (True, 24 * 3600)
    assert settings.analytics_keep_days is None


def test_empty_variables_count_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = Settings.read()
    for name in ("FLARE_KIT", "FLARE_TELEMETRY_PORT", "FLARE_SERVER_ADDRESS", "FLARE_SERVER_WAIT"):
        monkeypatch.setenv(name, "")

    assert Settings.read() == defaults


@pytest.mark.parametrize(
    ("text", "address"),
    [("flare.example.org:8002", ("flare.example.org", 8002)), ("[::1]:8002", ("::1", 8002))],
)
def test_a_server_address_consists_of_host_and_port(
    text: str, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLARE_SERVER_ADDRESS", text)

    assert Settings.read().server_address == address


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLARE_PARENT_PORT", "0"),
        ("FLARE_PARENT_PORT", "65536"),
        ("FLARE_PARENT_PORT", "eighty"),
        ("FLARE_TELEMETRY_PORT", "-1"),
        ("FLARE_TELEMETRY_PORT", "9464.0"),
        ("FLARE_TELEMETRY_PORT", "\u00b2"),
        ("FLARE_SERVER_ADDRESS", "flare.example.org"),
        ("FLARE_SERVER_ADDRESS", ":8002"),
        ("FLARE_SERVER_ADDRESS", "flare.example.org:http"),
        ("FLARE_ANALYTICS_KEEP_DAYS", "0"),
        ("FLARE_ANALYTICS_KEEP_DAYS", "a month"),
        ("FLARE_SERVER_WAIT", "-1"),
        ("FLARE_SERVER_WAIT", "nan"),
        ("FLARE_SERVER_WAIT", "inf"),
        ("FLARE_SERVER_WAIT", "a minute"),
        ("FLARE_SITE_PATIENCE", "an hour"),
        ("FLARE_TASK_TIMEOUT", "-1"),
        ("FLARE_FORK_JOBS", "sometimes"),
        ("FLARE_DIRECT_EXCHANGE", "perhaps"),
        ("FLARE_SURVIVAL", "perhaps"),
        ("FLARE_SITE_WAIT", "-1"),
    ],
)
def test_an_invalid_value_is_rejected_with_the_name_of_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(StartupError, match=f"{name}={value}: expected") as raised:
        Settings.read()

    assert raised.value.exit_code is Exit.SETTINGS
