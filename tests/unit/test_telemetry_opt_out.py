"""Opting out of the usage reports of libraries."""

from __future__ import annotations

import pytest

from fl_app.telemetry_opt_out import OPT_OUT, opt_out_of_telemetry


@pytest.mark.parametrize("chosen", [{}, {"MLFLOW_DISABLE_TELEMETRY": "false"}])
def test_reports_are_disabled_unless_the_operator_enabled_them(chosen: dict[str, str]) -> None:
    environment = dict(chosen)
    opt_out_of_telemetry(environment)
    assert environment == {**OPT_OUT, **chosen}


def test_mlflow_accepts_the_opt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.telemetry.utils import is_telemetry_disabled

    monkeypatch.delenv("CI", raising=False)
    for name, value in OPT_OUT.items():
        monkeypatch.setenv(name, value)
    assert is_telemetry_disabled()
