"""Finished trainings, as the sites report them in their output, and what they prove about a job."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

MARK = "chaos: "
"""As in chaos_job.training, which only a job's process imports."""


@dataclass(frozen=True)
class Training:
    """One finished training."""

    job: str
    site: str
    round: int
    started: float
    finished: float
    """Seconds since 1970."""
    model: str
    """Checksum of the global model that the site received."""


def parse(lines: Iterable[str]) -> set[Training]:
    """Return the trainings that lines of output report."""
    found = set()
    for line in lines:
        _, mark, document = line.partition(MARK)
        if mark:
            with suppress(ValueError, TypeError):
                found.add(Training(**json.JSONDecoder().raw_decode(document)[0]))
    return found


@dataclass(frozen=True)
class Summary:
    """What the trainings of one job prove."""

    missing: tuple[str, ...]
    """Rounds without a training of a site."""
    different: tuple[str, ...]
    """Rounds whose global model differs from that of the undisturbed job."""
    repeated: tuple[str, ...]
    """Trainings of a round that the job had left behind, unless it resumed from the checkpoint before."""
    trained_again: int
    """Trainings of a round that was not complete when the fault began: lost work, and no error."""


def summarize(
    trainings: Iterable[Training], reference: dict[int, str], sites: Iterable[str], rounds: int
) -> Summary:
    """Compare the trainings of a job with the models of the undisturbed one, by round."""
    of_site = defaultdict(list)
    for one in sorted(trainings, key=lambda one: one.finished):
        of_site[one.site].append(one)
    missing, different, repeated, again = [], [], [], 0
    for site in sites:
        seen: list[int] = []
        for number, one in enumerate(of_site[site]):
            again += one.round in seen
            if seen and one.round < max(seen) and not _resumed(of_site[site][number:], max(seen)):
                repeated.append(f"{site}: round {one.round} after round {max(seen)}")
            if reference and one.model != reference[one.round]:
                different.append(f"{site}: round {one.round}")
            seen.append(one.round)
        missing += [f"{site}: round {number}" for number in range(1, rounds + 1) if number not in seen]
    return Summary(tuple(missing), tuple(different), tuple(repeated), again)


def _resumed(trainings: list[Training], last: int) -> bool:
    """Return whether the job went back by one round, and trained `last` again with all that follow.

    A server that is killed while it writes the checkpoint of a round goes on with the one before.
    """
    return [one.round for one in trainings[:2]] == [last - 1, last]


def models_by_round(trainings: Iterable[Training]) -> dict[int, str]:
    """Return the checksum of the global model of each round.

    Raises:
        ValueError: two sites received different models in one round.
    """
    models: dict[int, str] = {}
    for one in trainings:
        if models.setdefault(one.round, one.model) != one.model:
            raise ValueError(f"round {one.round}: the sites received different models")
    return models


def first_after(trainings: Iterable[Training], moment: float, sites: Iterable[str] = ()) -> Training | None:
    """Return the training that finished first among those whose task was sent after a moment.

    Args:
        trainings: trainings of one job.
        moment: seconds since 1970; a training that started earlier does not count.
        sites: the sites that were disturbed. If there are none, any site counts, but not with the first
            training of a round that another site began earlier: it may have had its task before.
    """
    found, chosen = sorted(trainings, key=lambda one: one.finished), set(sites)
    begun = max((one.round for one in found if one.started <= moment), default=0)
    seen: set[tuple[str, int]] = set()
    for one in found:
        is_new = one.site in chosen or (not chosen and (one.round > begun or (one.site, one.round) in seen))
        if one.started > moment and is_new:
            return one
        seen.add((one.site, one.round))
    return None
