"""FLARE_TRACKING: what the server is told, and what it answers to what cannot be."""

from __future__ import annotations

import pytest

from fl_app.tracking.receivers import WrongTracking, wanted_receivers

WHERE = {"MLFLOW_TRACKING_URI": "http://mlflow.example.org", "WANDB_MODE": "offline"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ()), ("mlflow", ("mlflow",)), (" wandb , mlflow,mlflow", ("wandb", "mlflow"))],
)
def test_the_trackers_are_those_that_are_named(text: str, expected: tuple[str, ...]) -> None:
    assert wanted_receivers({**WHERE, "FLARE_TRACKING": text}) == expected


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"FLARE_TRACKING": "mflow"}, "there is no mflow; there are: mlflow, wandb"),
        ({"FLARE_TRACKING": "mlflow"}, "set MLFLOW_TRACKING_URI, too"),
        ({"FLARE_TRACKING": "wandb"}, "set WANDB_API_KEY or WANDB_MODE, too"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(environment: dict[str, str], complaint: str) -> None:
    with pytest.raises(WrongTracking, match=complaint):
        wanted_receivers(environment)


def test_a_tracker_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_app.tracking.receivers.find_spec", lambda name: None)
    with pytest.raises(
        WrongTracking, match=r"mlflow is not installed here: pip install 'flarefleet\[tracking\]'"
    ):
        wanted_receivers({**WHERE, "FLARE_TRACKING": "mlflow"})
