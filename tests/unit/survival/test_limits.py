"""How long a job waits for a site: its own limit, that of project.yml, or the default."""

from __future__ import annotations

from typing import Any

import pytest

from fl_app.contract import ENV_SITE_WAIT, ENV_SURVIVAL
from fl_app.survival.limits import LATE_SECONDS, duration, site_wait

DAY = 24 * 3600.0


@pytest.mark.parametrize(
    ("meta", "environment", "expected"),
    [
        ({}, {}, DAY),
        ({}, {ENV_SITE_WAIT: "7200"}, 7200.0),
        ({}, {ENV_SITE_WAIT: "soon"}, DAY),
        ({"custom_props": {"site_wait_seconds": 60}}, {ENV_SITE_WAIT: "7200"}, 60.0),
        ({"custom_props": {"site_wait_seconds": "60"}}, {}, DAY),
        ({"custom_props": {"site_wait_seconds": True}}, {}, DAY),
        ({"custom_props": None}, {}, DAY),
        ({"custom_props": {"site_wait_seconds": 0}}, {}, LATE_SECONDS),
        ({}, {ENV_SITE_WAIT: "0"}, LATE_SECONDS),
        ({"custom_props": {"site_wait_seconds": 60}}, {ENV_SURVIVAL: "false"}, 300.0),
        ({}, {ENV_SURVIVAL: "False", ENV_SITE_WAIT: "7200"}, 300.0),
        ({}, {ENV_SURVIVAL: "true"}, DAY),
    ],
)
def test_the_limit_is_the_jobs_or_the_federations_or_one_day(
    meta: dict[str, Any], environment: dict[str, str], expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (ENV_SITE_WAIT, ENV_SURVIVAL):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert site_wait(meta) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (45, "45 s"), (120, "2 min"), (125, "2 min 5 s"), (3700, "1 h 1 min"), (3600, "1 h")],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
