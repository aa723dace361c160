"""A random walk: kills, targets and moments that follow from a seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks.chaos.cell import Moment
from benchmarks.chaos.federation import JobSpec
from benchmarks.chaos.kills import SERVER, Fault, Kill, kills_of

ROUNDS = 10
_TOO_LONG = 120.0
_NEEDS_A_VOLUME = Fault.FILL_DISK


@dataclass(frozen=True)
class Step:
    """One step of a walk."""

    kill: Kill
    moment: Moment
    spec: JobSpec


def walk(seed: int, runtime: str, sites: int) -> Iterator[Step]:
    """Yield steps without end. The same seed, runtime and number of sites give the same steps."""
    chance = random.Random(f"{seed}/{runtime}/{sites}")
    kills = [
        one
        for one in kills_of(runtime)
        if one.seconds < _TOO_LONG and all(fault is not _NEEDS_A_VOLUME for fault, _ in one.faults)
    ]
    while True:
        kill = chance.choice(kills)
        site = f"site-{chance.randint(1, sites)}"
        if all(fault is not Fault.CUT for fault, _ in kill.faults):  # only the first site has a proxy
            faults = tuple((fault, SERVER if name == SERVER else site) for fault, name in kill.faults)
            kill = replace(kill, name=kill.name.replace("site", site), faults=faults)
        moment = Moment(chance.randint(1, ROUNDS - 2), round(chance.random(), 2))
        client = chance.choice(["numpy", "numpy", "torch", "process"])
        yield Step(kill, moment, JobSpec(rounds=ROUNDS, client=client))
