"""What became of the results of each round: the new global model, and the sites that it contains.

The checks look at what the server has after all filters, and at the model that its workflow made of it. They
do not depend on the framework of the model.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fl_app.guard import rules
from fl_app.guard.arrays import Parameter, count_not_finite, describe, root_mean_square
from fl_app.guard.finding import Finding
from fl_app.guard.task import Model, SentTask
from fl_app.survival.resumable import Attributes, Resumable, ResumableParts

SERVER = "server"


def missing_in_round(site: str, round: int | None) -> Finding:
    """Return the warning of a site that a round did without."""
    return Finding(
        "took no part in the new global model of this round",
        "Check the site: flarefleet status, flarefleet logs SITE.",
        site=site,
        round=round,
        rule="missing_site",
    )


@dataclass
class _Round:
    """Results of one round."""

    number: int | None
    model: SentTask
    sites: set[str] = field(default_factory=set)
    """Sites that received the model."""
    used: set[str] = field(default_factory=set)
    """Sites whose results the workflow accepted."""
    steps: dict[str, Any] = field(default_factory=dict)
    """Number of local steps, by site."""
    unchanged: dict[str, bool] = field(default_factory=dict)
    """Whether a site changed nothing, by site; without the results that cannot be compared."""
    is_closed: bool = False
    is_checked: bool = False
    """Whether the model that the workflow made of the results was checked."""
    has_hidden: bool = False
    """Whether a result is encrypted or compressed: the new model may have another form."""


class Outcome(ResumableParts):
    """The rounds of a workflow that trains.

    Args:
        uses_steps: whether the workflow weights each site by its number of steps.
        keeps_form: whether a new model must have the names and shapes of the old one.
        excluded: regular expression of the parameters that are not averaged.
    """

    def __init__(self, uses_steps: bool = False, keeps_form: bool = False, excluded: str = "") -> None:
        self._uses_steps = uses_steps
        self._keeps_form = keeps_form
        self._excluded = excluded
        self._round: _Round | None = None
        self._first: Mapping[str, Parameter] = {}
        self._rounds_compared = 0
        self._rounds_unchanged = 0
        self._lock = threading.Lock()
        self._size: float | None = None
        """Root mean square of the parameters of the last model."""

    def resumable_parts(self) -> dict[str, Resumable]:
        """Return what the rounds so far have shown."""
        return {"rounds": Attributes(self, ("_rounds_compared", "_rounds_unchanged", "_size"))}

    def sent(self, site: str, task: SentTask) -> Iterator[Finding]:
        """Record that a site receives the model of a round; check a model that no event announced."""
        with self._lock:  # several sites ask for their task at the same time
            last = self._round
            if last is None or last.number != task.round:
                self._round = _Round(task.round, replace(task, values=dict(task.values)))
                self._first = self._first or task.parameters or {}
            else:
                last = None
            assert self._round is not None
            self._round.sites.add(site)
        if last is not None:
            yield from self._close(last)
            if task.values and not last.is_checked:
                yield from self._check_model(task.values, last)

    def is_current(self, round: int | None) -> bool:
        """Return whether a result answers the current round; a site that was away may answer an old one."""
        current = self._round.number if self._round is not None else None
        return None in (round, current) or round == current

    def returned(self, site: str, sent: SentTask | None, model: Model) -> Finding | None:
        """Record the result of a site, and return a finding that only this result shows."""
        if self._round is None:
            return None
        self._round.steps[site] = model.steps
        self._round.has_hidden |= not model.is_readable
        if sent is not None and sent.values and model.is_readable:
            changed = not rules.is_unchanged(sent.values, model.parameters, model.is_complete)
            self._round.unchanged[site] = not changed
        if self._uses_steps and (finding := rules.find_invalid_weight(model.steps)):
            return finding
        if model.is_readable and model.is_complete:
            return rules.find_wrong_type(self._first, describe(model.parameters))
        return None

    def used(self, site: str) -> None:
        """Record that the workflow accepted the result of a site."""
        if self._round is not None:
            self._round.used.add(site)

    def aggregated(self) -> Iterator[Finding]:
        """Check which sites a new global model contains, and with which weights."""
        current = self._round
        if current is None:
            return
        if self._uses_steps and (finding := rules.find_missing_weights(current.steps)):
            yield finding.at(finding.site or SERVER, current.number)
        if not current.used:
            yield rules.NO_PARAMETERS.at(", ".join(sorted(current.sites)), current.number)
        for site in sorted(current.sites - current.used) if current.used else ():
            yield missing_in_round(site, current.number)

    def new_model(self, parameters: Mapping[str, Any]) -> Iterator[Finding]:
        """Check the new global model of the round."""
        if self._round is not None:
            self._round.is_checked = True
            yield from self._check_model(parameters, self._round)
            yield from self._close(self._round)
            self._round.model = replace(self._round.model, values={})  # free the memory of the old model

    def _close(self, current: _Round) -> Iterator[Finding]:
        """End a round; a round in which nobody changed the model is a warning."""
        if current.is_closed or not current.unchanged:
            return
        current.is_closed = True
        self._rounds_compared += 1
        if not all(current.unchanged.values()):
            return
        self._rounds_unchanged += 1
        yield Finding(
            "no site changed any parameter of the model in this round",
            "Check that the training runs before the model is returned, and that the learning rate is not 0.",
            site=", ".join(sorted(current.unchanged)),
            round=current.number,
            rule="unchanged_round",
        )

    def ended(self) -> Iterator[Finding]:
        """Check the whole job: a job in which no site ever changed the model has learned nothing."""
        if self._round is not None:
            yield from self._close(self._round)
        if self._rounds_compared and self._rounds_unchanged == self._rounds_compared:
            rounds = "in the only round" if self._rounds_compared == 1 else "in any round"
            yield Finding(
                f"no site changed any parameter of the model {rounds}: nothing was learned",
                "Return the trained weights (model.state_dict() after the training), and check that the "
                "learning rate is not 0.",
                rule="untrained",
            )

    def _check_model(self, parameters: Mapping[str, Any], current: _Round) -> Iterator[Finding]:
        for finding in self._findings_in_model(parameters, current):
            yield finding.at(SERVER, current.number)

    def _findings_in_model(self, parameters: Mapping[str, Any], current: _Round) -> Iterator[Finding]:
        before = current.model
        for name, value in parameters.items():
            if count := count_not_finite(value, before.values.get(name)):
                kind = str(getattr(value, "dtype", "")).removeprefix("torch.")
                yield Finding(
                    f"the new global model has {count} NaN or infinite numbers ({kind}), and the results of "
                    "the sites had none: the aggregation overflowed or divided by zero",
                    "Return float32 parameters and smaller numbers of steps, or mend the aggregator.",
                    key=str(name),
                    rule="global_model",
                )
                return
        if before.has_arrays and before.parameters and self._keeps_form and not current.has_hidden:
            yield from _changes_of_form(before.parameters, describe(parameters), self._excluded)
        size = root_mean_square(before.values) if self._size is None else self._size
        self._size = root_mean_square(parameters)
        if before.values and (finding := rules.find_growth(size, self._size)):
            yield finding


def _changes_of_form(
    before: Mapping[str, Parameter], after: Mapping[str, Parameter], excluded: str
) -> Iterator[Finding]:
    if finding := rules.find_mismatch(before, after, is_complete=not excluded, excluded=excluded):
        yield Finding(
            f"the new global model does not have the form of the old one: the sites {finding.what}",
            "Return all parameters in their shapes, or differences (params_type DIFF) of some.",
            key=finding.key,
            rule="global_model",
        )
