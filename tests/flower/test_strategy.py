"""How flower-digits handles replies of the SuperLink itself. Runs in .venv-flower."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("flwr", reason="runs in .venv-flower: make flower")

from flwr.app import Message, MessageType, RecordDict
from flwr.app.error import Error

from fl_app.jobs.fedadagrad.digits import divide
from fl_app.jobs.fedadagrad.evaluation import EvaluationJournal
from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.flower_digits.app.flower_digits_app.strategy import DigitStrategy, SiteFailed
from fl_app.jobs.shared.classifier import DigitClassifier


def test_an_error_of_the_superlink_fails_the_round_with_its_reason(tmp_path: Path) -> None:
    settings = DigitParameters(hidden=16)
    journal = EvaluationJournal(tmp_path, DigitClassifier(16, 0), divide(2, 0))
    strategy = DigitStrategy(settings, {"site-1": 11, "site-2": 22}, journal)
    strategy.sampled = ["site-1"]
    request = Message(RecordDict(), dst_node_id=11, message_type=MessageType.TRAIN)
    request.metadata.__dict__["_dst_node_id"] = 1  # the SuperLink replies
    reply = Message(Error(code=5, reason="Node Unavailable"), reply_to=request)

    with pytest.raises(SiteFailed, match="round 3: no site replied: Node Unavailable"):
        strategy.aggregate_train(3, [reply])
