"""The exported job `fedadagrad`, and the result files of its server."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open

from fl_app.jobs.fedadagrad.digits import MIN_IMAGES, Digits, divide
from fl_app.jobs.fedadagrad.evaluation import BEST_MODEL, EvaluationJournal
from fl_app.jobs.fedadagrad.metadata import TrainingReport
from fl_app.jobs.shared.classifier import DigitClassifier, evaluate_classifier, train_classifier
from fl_app.jobs.shared.examples import Examples

SITES = ("Zurich", "a-clinic", "b_clinic", "z")


@pytest.mark.parametrize("sites", [2, 3, 143])
def test_sites_validation_and_test_share_no_image(sites: int) -> None:
    digits = divide(sites, seed=1)
    parts = [*digits.sites, digits.validation, digits.test]
    assert sum(len(images) for images in parts) == 1797
    assert min(len(images) for images in digits.sites) >= MIN_IMAGES
    assert len({row.tobytes() for images in parts for row in images.features}) == 1797
    assert all(images.features.min() >= 0 and images.features.max() <= 1 for images in parts)


def test_the_journal_keeps_the_best_model(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    digits = divide(2, seed=0)
    model = DigitClassifier(hidden=16, seed=0)
    untrained = {name: value.clone() for name, value in model.state_dict().items()}
    train_classifier(model, digits.sites[0], epochs=3, learning_rate=0.05, batch_size=16, seed=0)
    trained = {name: value.clone() for name, value in model.state_dict().items()}
    journal = EvaluationJournal(tmp_path, DigitClassifier(hidden=16, seed=5), digits)

    evaluations = [
        journal.evaluate(0, untrained),
        journal.evaluate(2, trained),
        journal.evaluate(4, untrained),
    ]
    journal.report(2, "z", 0.05, TrainingReport(seconds=1.0, losses=(2.0,), converged=False, examples=3))

    assert [evaluation.is_best for evaluation in evaluations] == [True, True, False]
    assert [json.loads((tmp_path / f"round_{n}_server_eval.json").read_text()) for n in (0, 2, 4)] == [
        evaluation.model_dump() for evaluation in evaluations
    ]
    assert json.loads((tmp_path / "evaluation_history.json").read_text()) == [
        evaluation.model_dump() for evaluation in evaluations
    ]
    with safe_open(tmp_path / BEST_MODEL, framework="pt") as stored:
        expected = evaluations[1].model_dump(exclude={"is_best"})
        assert stored.metadata() == {name: str(value) for name, value in expected.items()}
        for name in stored.keys():  # noqa: SIM118 - not a mapping
            torch.testing.assert_close(stored.get_tensor(name), trained[name], rtol=0, atol=0)
    assert json.loads((tmp_path / "training_history.json").read_text())[0]["site"] == "z"
    assert not list(tmp_path.glob(".*"))


def test_the_best_model_is_chosen_on_other_images_than_those_that_its_accuracy_is_reported_on(
    tmp_path: Path,
) -> None:
    """The first model is right on all validation images, the second on all test images."""
    images = divide(2, seed=0).test.features
    first, second = (DigitClassifier(hidden=16, seed=seed) for seed in (1, 2))
    validation, test = (Examples(images, predictions(model, images)) for model in (first, second))
    journal = EvaluationJournal(tmp_path, DigitClassifier(hidden=16, seed=0), Digits((), validation, test))

    chosen, reported = (journal.evaluate(n, model.state_dict()) for n, model in enumerate((first, second)))

    assert (chosen.is_best, chosen.validation_accuracy) == (True, 1.0)
    assert (reported.is_best, reported.accuracy) == (False, 1.0)
    assert chosen.accuracy < 1 > reported.validation_accuracy
    assert reported.scalars().keys() == {"accuracy", "validation_accuracy", "loss", "parameter_norm"}


def predictions(model: DigitClassifier, images: NDArray[np.float32]) -> NDArray[np.int64]:
    labels = np.zeros(len(images), np.int64)
    return evaluate_classifier(model, Examples(images, labels)).predictions
