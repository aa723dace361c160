"""Metrics that select the best model or end the training early: NVFlare ignores those that it cannot use."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

from fl_app.guard.finding import Finding
from fl_app.guard.outcome import SERVER
from fl_app.guard.workflows import KeyMetric
from fl_app.metric_direction import direction_of
from fl_app.survival.resumable import Attributes, Resumable, ResumableParts

WORSE_BY = 0.1
"""Part of its first value by which the key metric must be worse in the end; less is noise."""

_KEPT = ("_names", "_means", "_is_direction_checked", "_had_stop_metric", "_had_key_metric", "_without")


class BestModel(ResumableParts):
    """The metrics of a workflow's rounds.

    Args:
        key_metric: metric that selects the best model, or None.
        stop_metric: metric of the condition that ends the training early; empty if there is none.
    """

    def __init__(self, key_metric: KeyMetric | None = None, stop_metric: str = "") -> None:
        self._key_metric = key_metric
        self._stop_metric = stop_metric
        self._of_round: dict[str, Any] = {}
        self._names: set[str] = set()
        self._means: list[float] = []
        self._is_direction_checked = False
        self._had_stop_metric = False
        self._had_key_metric = False
        self._without: set[str] = set()
        """Sites that returned metrics without the key metric."""

    def resumable_parts(self) -> dict[str, Resumable]:
        """Return what the rounds so far have shown."""
        return {"rounds": Attributes(self, _KEPT)}

    def returned(self, site: str, metrics: Any) -> Iterator[Finding]:
        """Check the metrics of a result."""
        if not isinstance(metrics, Mapping):
            return
        if texts := sorted(str(name) for name, value in metrics.items() if isinstance(value, str)):
            yield Finding(
                f"returned text as a metric ({', '.join(texts)}): NVFlare averages numbers only",
                "Return numbers: float(accuracy).",
                key=texts[0],
                rule="metric",
            )
        for name in dict.fromkeys(filter(None, (self._key_name, self._stop_metric))):
            value = metrics.get(name)
            if isinstance(value, Real) and not math.isfinite(value):
                yield Finding(
                    f"returned {value} as the metric {name}: the best model is chosen without this site",
                    "Return a finite number; check for an empty validation set.",
                    key=name,
                    rule="metric",
                )
        if self._key_metric is not None and metrics:
            self._names |= set(map(str, metrics))
            self._of_round[site] = metrics.get(self._key_name)
            if self._key_name in metrics:
                yield from self._check_direction(self._key_metric)

    def _check_direction(self, key: KeyMetric) -> Iterator[Finding]:
        """Check the direction of the key metric once, when a site first returns it."""
        if self._is_direction_checked:
            return
        self._is_direction_checked = True
        known = direction_of(key.name)
        if known == key.direction:
            return
        taken = "a larger" if key.direction == "max" else "a smaller"
        what = f"the job takes {taken} value as the better one"
        if known is not None:
            what += ", and the name says the opposite: the worst model would be kept as the best"
        yield Finding(
            what,
            "Set key_metric_mode of the recipe (negate_key_metric of IntimeModelSelector) if this is wrong.",
            key=f"key metric {key.name}",
            rule="metric_direction",
        )

    def aggregated(self, metrics: Any, round: int | None) -> Iterator[Finding]:
        """Check the metrics of a round.

        A stop metric that is not finite is removed: otherwise no later value would be better.

        Args:
            metrics: metrics of the aggregate, which this call may change; None if there are none.
            round: number of the round, from 1.
        """
        of_round, self._of_round = self._of_round, {}
        if self._stop_metric:
            yield from self._check_stop_metric(metrics, round)
        if self._key_metric is None:
            return
        without = {site for site, value in of_round.items() if value is None}
        self._had_key_metric |= len(without) < len(of_round)
        self._without |= without
        if without and (len(without) < len(of_round) or not self._had_key_metric):
            yield self._missing_in_round(self._key_metric, sorted(without), round)
        values = [float(value) for value in of_round.values() if isinstance(value, Real)]
        if finite := [value for value in values if math.isfinite(value)]:
            self._means.append(sum(finite) / len(finite))
            del self._means[1:-1]  # only the first and the last count

    def _missing_in_round(self, key: KeyMetric, without: list[str], round: int | None) -> Finding:
        """Return the warning about a round; a later round may have the metric."""
        names = ", ".join(sorted(self._names))
        return Finding(
            "was returned by other sites only: the best model is chosen without this site"
            if self._had_key_metric
            else f"is not among the metrics that the sites have returned so far ({names})",
            "Set key_metric of the recipe to a metric that all sites return in FLModel(metrics=...).",
            site=", ".join(without),
            round=round,
            key=f"key metric {key.name}",
            rule="metric" if self._had_key_metric or not key.is_default else "default_key_metric",
        )

    def _check_stop_metric(self, metrics: Any, round: int | None) -> Iterator[Finding]:
        value = metrics.get(self._stop_metric) if isinstance(metrics, Mapping) else None
        key = f"stop_cond {self._stop_metric}"
        if isinstance(value, Real) and not math.isfinite(value):
            self._had_stop_metric = True
            del metrics[self._stop_metric]
            yield Finding(
                f"the average of the metric is {value}: the model of this round is not kept",
                "Return a finite number at every site.",
                site=SERVER,
                round=round,
                key=key,
                rule="metric",
            )
        elif value is not None:
            self._had_stop_metric = True
        elif not self._had_stop_metric:  # later rounds may leave the evaluation out
            names = ", ".join(sorted(map(str, metrics))) if metrics else "none"
            yield Finding(
                f"the sites do not all return this metric (they return {names}): the condition would never "
                "be met, and no model stored",
                "Return it in FLModel(metrics=...) at every site, or set stop_cond to another metric.",
                site=SERVER,
                round=round,
                key=key,
                rule="stop_condition",
            )

    def ended(self) -> Iterator[Finding]:
        """Check that a site returned the key metric, and that it is not worse in the end than at first."""
        key = self._key_metric
        if key is not None and self._without and not self._had_key_metric and not key.is_default:
            names = ", ".join(sorted(self._names))
            yield Finding(
                f"is not among the returned metrics ({names}): no best model was kept",
                "Set key_metric of the recipe to a metric that all sites return in FLModel(metrics=...).",
                site=", ".join(sorted(self._without)),
                key=f"key metric {key.name}",
                rule="key_metric",
            )
        if key is None or len(self._means) < 2:
            return
        first, last = self._means
        decline = first - last if key.direction == "max" else last - first
        if decline > WORSE_BY * abs(first):
            better = "larger" if key.direction == "max" else "smaller"
            yield Finding(
                f"went from {first:.4g} to {last:.4g}, and {better} is better: the training made it worse",
                "Check the learning rate and the direction of the metric.",
                key=f"key metric {key.name}",
                rule="metric_worsens",
            )

    @property
    def _key_name(self) -> str:
        return self._key_metric.name if self._key_metric else ""
