"""Parameters, precision and required packages of the job fedprox-vla."""

from __future__ import annotations

import pytest
import torch

from fl_app.jobs.fedprox_vla.job import VlaParameters, recipe
from fl_app.jobs.fedprox_vla.step import choose_device, choose_precision


def test_a_published_policy_needs_real_recordings() -> None:
    with pytest.raises(ValueError, match="policy=lerobot/smolvla_base needs real recordings"):
        recipe(VlaParameters(policy="lerobot/smolvla_base"), ["a", "b"])


def test_a_missing_gpu_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert choose_device("auto") == "cpu"
    with pytest.raises(ValueError, match="no GPU that PyTorch can use"):
        choose_device("cuda")


def test_precision_follows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    assert choose_device("auto") == "cuda"
    assert choose_precision("cuda", "auto").mixed is torch.float16
    assert choose_precision("cuda", "auto").needs_scaler
    assert choose_precision("cpu", "auto").mixed is torch.bfloat16
    assert not choose_precision("cpu", "auto").needs_scaler
    assert choose_precision("cuda", "off").mixed is None
    with pytest.raises(ValueError, match="amp=fp16 needs a GPU"):
        choose_precision("cpu", "fp16")
