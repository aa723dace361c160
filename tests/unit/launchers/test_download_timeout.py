"""The timeout of a download, as NVFlare's decomposers read it."""

from __future__ import annotations

import pytest
from nvflare.app_common.decomposers.numpy_decomposers import NumpyArrayDecomposer
from nvflare.app_opt.pt.decomposers import TensorDecomposer
from nvflare.fuel.f3.comm_config import CommConfigurator
from nvflare.fuel.f3.streaming.byte_streamer import STREAM_CHUNK_SIZE, STREAM_RETRY_WAIT
from nvflare.fuel.f3.streaming.stream_const import STREAM_ACK_INTERVAL, STREAM_WINDOW_SIZE
from nvflare.fuel.utils.config_service import ConfigService
from nvflare.fuel.utils.fobs.decomposers.via_downloader import ViaDownloaderDecomposer

from fl_app.contract import ENV_SURVIVAL, TRANSFER_TIMEOUT_SECONDS
from fl_app.launchers.download_timeout import set_download_timeout


def variable(decomposer: ViaDownloaderDecomposer) -> str:
    return f"NVFLARE_{decomposer.config_var_prefix}streaming_per_request_timeout".upper()


def apply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables of a job process."""
    environment: dict[str, str] = {}
    set_download_timeout(environment)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ConfigService, "_var_values", {})
    monkeypatch.setattr(CommConfigurator, "_configuration", None)


@pytest.mark.parametrize("kind", [NumpyArrayDecomposer, TensorDecomposer])
def test_a_job_process_does_not_wait_ten_minutes_for_a_chunk(
    kind: type[ViaDownloaderDecomposer], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment: dict[str, str] = {}
    set_download_timeout(environment)
    monkeypatch.setenv(variable(kind()), environment[variable(kind())])

    name = f"{kind().config_var_prefix}streaming_per_request_timeout"
    monkeypatch.setattr(ConfigService, "_var_values", {})
    assert ConfigService.get_float_var(name) == TRANSFER_TIMEOUT_SECONDS


def test_a_frame_arrives_in_time_at_an_eighth_of_a_megabit_per_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apply(monkeypatch)

    frame = CommConfigurator().get_streaming_chunk_size(STREAM_CHUNK_SIZE)
    timeout = ConfigService.get_float_var("np_streaming_per_request_timeout")

    assert timeout > 8 * frame / 125_000


def test_no_frame_is_sent_again_while_a_slow_link_sends_those_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apply(monkeypatch)
    settings = CommConfigurator()

    window = settings.get_streaming_window_size(STREAM_WINDOW_SIZE)

    assert 8 * window / 600_000 < settings.get_streaming_retry_wait(STREAM_RETRY_WAIT)
    assert settings.get_streaming_ack_interval(STREAM_ACK_INTERVAL) <= window / 2


def test_the_timeout_stays_nvflares_if_survival_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_SURVIVAL, "false")
    environment: dict[str, str] = {}

    set_download_timeout(environment)

    assert environment == {}


def test_a_timeout_of_the_operator_stays() -> None:
    environment = {"NVFLARE_TENSOR_STREAMING_PER_REQUEST_TIMEOUT": "99"}

    set_download_timeout(environment)

    assert environment["NVFLARE_TENSOR_STREAMING_PER_REQUEST_TIMEOUT"] == "99"
