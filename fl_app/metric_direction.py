"""Whether a larger or a smaller value of a metric is better, by the well-known words in its name."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal, TypeAlias

Direction: TypeAlias = Literal["max", "min"]

_LARGER = {
    "accuracy", "acc", "auc", "auprc", "auroc", "bleu", "cindex", "concordance", "dice", "f1",
    "f1score", "hitrate", "iou", "jaccard", "kappa", "likelihood", "map", "mcc", "miou", "mrr", "ndcg",
    "prauc", "precision", "psnr", "r2", "recall", "reward", "rocauc", "rouge", "rsquared",
    "sensitivity", "specificity", "ssim", "tnr", "tpr",
}  # fmt: skip
_SMALLER = {
    "bce", "brier", "cer", "crossentropy", "deviance", "ece", "eer", "err", "error", "errors", "fid",
    "fnr", "fpr", "hausdorff", "hd95", "kl", "kld", "logloss", "loss", "losses", "lpips", "mae", "mape",
    "missrate", "mse", "msle", "nll", "perplexity", "ppl", "regret", "rmse", "rmsle", "wer",
}  # fmt: skip
_LOSSES = {"loss", "losses"}
_WORD_BOUNDARY = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z]{2})(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")


def direction_of(metric: str) -> Direction | None:
    """Return `max` if a larger value of the metric is better, `min` for a smaller one; None if unknown.

    The name is read word by word (`val_loss`, `eval/loss`, `valLoss`), and digits at the end of a word are
    ignored (`mAP50`). `loss` decides wherever it stands (`loss_dice`, `dice_loss`); otherwise the last known
    word does (`error_detection_accuracy`). scikit-learn's prefix `neg` reverses the direction of an error.
    """
    words = [word.lower() for word in _WORD_BOUNDARY.split(metric) if word]
    joined = [first + second for first, second in pairwise(words)]  # cross_entropy
    directions = [found for word in (*joined, *words) if (found := _direction_of_word(word))]
    if not directions:
        return None
    direction: Direction = "min" if _LOSSES & set(words) else directions[-1]
    if words[0] == "neg":
        return "max" if direction == "min" else "min"
    if words[0] == "negative":  # loss on negative examples, or a loss times -1: only this one is certain
        return "min" if words[-1] == "likelihood" else None
    return direction


def _direction_of_word(word: str) -> Direction | None:
    for name in (word, word.rstrip("0123456789")):
        if name in _LARGER:
            return "max"
        if name in _SMALLER:
            return "min"
    return None
