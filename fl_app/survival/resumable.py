"""The state of a part of a job: what a new process needs to go on after the last finished round."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class UnsupportedStateError(ValueError):
    """A state that a checkpoint cannot hold, such as bytes or objects in place of arrays."""


@dataclass(frozen=True)
class State:
    """State of one part of a job."""

    arrays: Mapping[str, Any] = field(default_factory=dict)
    """NumPy arrays and PyTorch tensors by name."""
    document: Mapping[str, Any] = field(default_factory=dict)
    """Everything else, as JSON."""
    files: tuple[str, ...] = ()
    """Files in the job's run folder that belong to the state, such as the best model; paths below that
    folder or absolute. A file that does not exist is skipped."""


class Resumable(ABC):
    """A controller or component of a job whose state a checkpoint includes.

    Inherit from it besides NVFlare's class. NVFlare's own classes, which cannot, have adapters in
    `fl_app.survival.workflows` and `.components`.
    """

    @abstractmethod
    def checkpoint(self) -> State:
        """Return the state between two rounds.

        The arrays may be those that the part itself uses: those of a job's own parts are copied at once, and
        those of this kit are written before the next round is aggregated.
        """

    @abstractmethod
    def resume(self, state: State) -> None:
        """Take over the state of an earlier process; called before the first round of this one."""


class ResumableParts(Resumable):
    """A controller whose state is that of its parts.

    Mixins and bases each add theirs: `return {**super().resumable_parts(), "journal": self.journal}`.
    """

    def resumable_parts(self) -> dict[str, Resumable]:
        """Return the parts by names without a slash."""
        return {}

    def checkpoint(self) -> State:
        """Return the states of the parts."""
        return merge({name: part.checkpoint() for name, part in self.resumable_parts().items()})

    def resume(self, state: State) -> None:
        """Let each part take over its state."""
        states = unmerge(state)
        for name, part in self.resumable_parts().items():
            if name in states:
                part.resume(states[name])


def merge(states: Mapping[str, State]) -> State:
    """Return several states in one; their names contain no slash."""
    return State(
        {f"{name}/{key}": array for name, state in states.items() for key, array in state.arrays.items()},
        {name: dict(state.document) for name, state in states.items()},
        tuple(file for state in states.values() for file in state.files),
    )


def unmerge(state: State) -> dict[str, State]:
    """Return the states that `merge` put together, without their files."""
    arrays: dict[str, dict[str, Any]] = {name: {} for name in state.document}
    for key, array in state.arrays.items():
        name, _, rest = key.partition("/")
        arrays[name][rest] = array
    return {name: State(arrays[name], document) for name, document in state.document.items()}


class Attributes(Resumable):
    """Attributes of an object that are plain JSON, or sets of it."""

    def __init__(self, owner: Any, names: Sequence[str]) -> None:
        self._owner, self._names = owner, names

    def checkpoint(self) -> State:
        """Return the attributes."""
        values = {name: getattr(self._owner, name) for name in self._names}
        return State(document={n: sorted(one) if isinstance(one, set) else one for n, one in values.items()})

    def resume(self, state: State) -> None:
        """Set the attributes."""
        for name, value in state.document.items():
            is_set = isinstance(getattr(self._owner, name), set)
            setattr(self._owner, name, set(value) if is_set else value)


def is_array(value: Any) -> bool:
    """Return whether a value is a NumPy array or scalar, or a PyTorch tensor."""
    return hasattr(value, "dtype") and hasattr(value, "shape")


def split(values: Mapping[str, Any], what: str) -> State:
    """Return a state of values that are arrays or plain JSON.

    Raises:
        UnsupportedStateError: a value is neither.
    """
    plain = {}
    for name, value in values.items():
        if is_array(value):
            continue
        if not is_plain(value):
            raise UnsupportedStateError(f"{what} {name} is of type {type(value).__name__}")
        plain[name] = value
    return State({name: value for name, value in values.items() if is_array(value)}, {"values": plain})


def joined(state: State) -> dict[str, Any]:
    """Return the values of a state that `split` made."""
    return {**state.arrays, **state.document.get("values", {})}


def is_plain(value: Any) -> bool:
    """Return whether a value is the same after a round trip through JSON."""
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError, RecursionError):
        return False
