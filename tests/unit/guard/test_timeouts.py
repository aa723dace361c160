"""Where the guard's timeouts come from."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fl_app.contract import ENV_SITE_PATIENCE, ENV_TASK_TIMEOUT
from fl_app.guard.timeouts import site_patience, task_timeout


@pytest.mark.parametrize(
    ("read", "variable", "default"),
    [(site_patience, ENV_SITE_PATIENCE, 3600), (task_timeout, ENV_TASK_TIMEOUT, 24 * 3600)],
)
def test_a_timeout_is_the_environments_or_the_default(
    read: Callable[[], float], variable: str, default: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    assert read() == default
    for value, expected in (("7200", 7200), ("0", 0), ("", default), ("soon", default), ("-1", default)):
        monkeypatch.setenv(variable, value)
        assert read() == expected
