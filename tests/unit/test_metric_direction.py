"""The direction of a metric follows from the well-known words in its name."""

from __future__ import annotations

import pytest

from fl_app.metric_direction import direction_of


@pytest.mark.parametrize(
    "name",
    ["accuracy", "val_accuracy", "own_accuracy", "eval/acc", "valAccuracy", "top5_accuracy", "f1",
     "macro_f1", "F1Score", "auc", "AUROC", "roc_auc", "valAUC", "dice", "mean_dice", "iou", "mIoU",
     "IoU", "bleu", "BLEU-4", "mAP50", "mAP@0.5", "ndcg@10", "recall5", "precision", "average_precision",
     "R2", "r_squared", "rouge-l", "cohen_kappa", "c_index", "log_likelihood", "neg_mean_squared_error",
     "neg_log_loss", "error_detection_accuracy", "psnr", "ssim", "reward"],
)  # fmt: skip
def test_larger_is_better(name: str) -> None:
    assert direction_of(name) == "max"


@pytest.mark.parametrize(
    "name",
    ["loss", "val_loss", "eval/loss", "valLoss", "train.loss", "LOSS", "loss1", "test loss", "error",
     "top5_error", "error_rate", "mean_squared_error", "mse", "rmse", "RMSELoss", "mae", "perplexity",
     "val_ppl", "wer", "cer", "nll", "negative_log_likelihood", "cross_entropy", "CrossEntropyLoss",
     "dice_loss", "loss_dice", "loss/iou", "brier_score", "hd95", "fid", "log_loss"],
)  # fmt: skip
def test_smaller_is_better(name: str) -> None:
    assert direction_of(name) == "min"


@pytest.mark.parametrize(
    "name",
    ["", "/", "metric", "score", "fitness", "round", "glossy", "lossless", "terror", "macro", "mapping",
     "f", "r", "learning_rate", "negative_loss", "seconds"],
)  # fmt: skip
def test_an_unknown_name_has_no_direction(name: str) -> None:
    assert direction_of(name) is None
