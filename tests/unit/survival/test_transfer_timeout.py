"""A site that downloads its task from a killed process gives up within seconds, and asks again."""

from __future__ import annotations

import os

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ConfigVarName
from nvflare.apis.fl_context import FLContext
from nvflare.fuel.utils.app_config_utils import get_positive_float_var
from nvflare.fuel.utils.config_service import ConfigService

from fl_app.survival.transfer_timeout import DOWNLOAD_VARIABLES, DownloadTimeout


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without the settings, also in NVFlare's cache."""
    for name in DOWNLOAD_VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    ConfigService.reset()


@pytest.mark.parametrize("framework", ["tensor_", "np_"])
def test_a_site_waits_20_seconds_for_a_part_of_a_model(framework: str) -> None:
    DownloadTimeout().handle(EventType.START_RUN, FLContext())

    assert get_positive_float_var(framework + ConfigVarName.STREAMING_PER_REQUEST_TIMEOUT, 600.0) == 20


def test_a_setting_of_the_site_stays() -> None:
    os.environ[DOWNLOAD_VARIABLES[0]] = "90"

    DownloadTimeout().handle(EventType.START_RUN, FLContext())

    assert os.environ[DOWNLOAD_VARIABLES[0]] == "90"
