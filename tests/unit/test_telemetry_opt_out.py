"""Libraries tell their makers nothing of a hospital's machine, unless its operator lets them."""

from __future__ import annotations

from fl_app.startup.telemetry_opt_out import REPORTS, report_nothing


def test_every_library_is_kept_quiet() -> None:
    environment: dict[str, str] = {}
    report_nothing(environment)
    assert environment == REPORTS


def test_an_operator_who_lets_one_report_has_it_so() -> None:
    environment = {"MLFLOW_DISABLE_TELEMETRY": "false"}
    report_nothing(environment)
    assert environment == {**REPORTS, "MLFLOW_DISABLE_TELEMETRY": "false"}


def test_mlflow_understands_it(monkeypatch) -> None:
    from mlflow.telemetry.utils import is_telemetry_disabled

    monkeypatch.delenv("CI", raising=False)
    for name, value in REPORTS.items():
        monkeypatch.setenv(name, value)
    assert is_telemetry_disabled()
