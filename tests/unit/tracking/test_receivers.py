"""FLARE_TRACKING: valid values, and the messages for invalid ones."""

from __future__ import annotations

import pytest

from fl_app.tracking.receivers import TrackingSettingsError, requested_receivers

ADDRESSES = {"MLFLOW_TRACKING_URI": "http://mlflow.example.org", "WANDB_MODE": "offline"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ()), ("mlflow", ("mlflow",)), (" wandb , mlflow,mlflow", ("wandb", "mlflow"))],
)
def test_each_named_tracker_is_requested_once(text: str, expected: tuple[str, ...]) -> None:
    assert requested_receivers({**ADDRESSES, "FLARE_TRACKING": text}) == expected


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"FLARE_TRACKING": "mflow"}, "unknown tracker mflow; available: mlflow, wandb"),
        ({"FLARE_TRACKING": "mlflow"}, "MLFLOW_TRACKING_URI is not set"),
        ({"FLARE_TRACKING": "wandb"}, "WANDB_API_KEY or WANDB_MODE is not set"),
    ],
)
def test_an_invalid_value_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(TrackingSettingsError, match=message):
        requested_receivers(environment)


def test_a_tracker_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_app.tracking.receivers.find_spec", lambda name: None)
    with pytest.raises(
        TrackingSettingsError, match=r"mlflow is not installed; run: pip install 'mlflow-skinny<4,"
    ):
        requested_receivers({**ADDRESSES, "FLARE_TRACKING": "mlflow"})
