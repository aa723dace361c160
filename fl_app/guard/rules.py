"""Rules for what a site may return: pure functions on models."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np

from fl_app.guard.arrays import Parameter, count_not_finite, equal, is_zero
from fl_app.guard.finding import Finding

MAX_INTEGER, MIN_INTEGER = (1 << 64) - 1, -(1 << 63)
"""Range of the integers in NVFlare's messages; a message with any other is lost, and the job hangs."""
SIZE_FACTOR = 4
"""Maximum size of a site's result, with everything beside the weights, as a multiple of the model's size."""
SIZE_ALLOWANCE = 64 * 2**20
"""Bytes that are allowed beyond SIZE_FACTOR."""
GROWTH = 1000.0
"""Growth of the parameters in one round from which on they explode."""

_MAX_DEPTH = 32
_MAX_NAMES = 3


NO_PARAMETERS = Finding(
    "returned no parameters: NVFlare would ignore this site and report the job as completed",
    "Return the model's weights in FLModel(params=...). A PyTorch job must return tensors: NumPy arrays are "
    "dropped.",
    rule="untrained",
)


def find_mismatch(
    sent: Mapping[str, Parameter], returned: Mapping[str, Parameter], is_complete: bool, excluded: str = ""
) -> Finding | None:
    """Check that a result has the parameters and shapes of the model that was sent.

    Args:
        sent: parameters that the site received.
        returned: parameters that the site returned.
        is_complete: whether every parameter must be there: the site returns weights, not differences.
        excluded: regular expression of the parameters that are not part of the global model.
    """
    unknown = [name for name in returned if name not in sent and not (excluded and re.search(excluded, name))]
    if unknown:
        return Finding(
            f"returned {_counted(unknown)} not in the model that it received",
            "Return exactly the parameters that were received, under the same names.",
            key=unknown[0],
            rule="shape",
        )
    missing = [name for name in sent if name not in returned]
    if is_complete and missing:
        return Finding(
            f"did not return {_counted(missing)}: the global model would lose them",
            "Return all parameters, or differences (params_type DIFF), which may leave parameters out.",
            key=missing[0],
            rule="shape",
        )
    for name in [name for name in returned if name in sent]:
        before, after = sent[name], returned[name]
        if before.shape is not None and after.shape is not None and before.shape != after.shape:
            return Finding(
                f"returned shape {after.shape} and received {before.shape}: the global model would change",
                "Return each parameter in the shape in which it was received.",
                key=name,
                rule="shape",
            )
    return None


def find_wrong_type(first: Mapping[str, Parameter], returned: Mapping[str, Parameter]) -> Finding | None:
    """Check that no floating-point parameter comes back as integers, which cut the fraction off.

    Args:
        first: parameters of the first model of the job. Later ones are no measure: the average of an integer,
            such as the counter of a batch norm, has a fraction, and a site rightly returns an integer again.
        returned: parameters that a site returned.
    """
    for name, parameter in returned.items():
        if parameter.kind == "i" and name in first and first[name].kind == "f":
            return Finding(
                "returned integers for floating-point numbers: the fractions are lost",
                "Return the parameter in the type in which it was received.",
                key=name,
                rule="type",
            )
    return None


def _counted(names: list[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMES])
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return f"{len(names)} parameter{'s' * (len(names) != 1)} ({shown}{more})"


def find_not_finite(
    parameters: Mapping[Any, Any], received: Mapping[Any, Any] | None = None
) -> Finding | None:
    """Check that no parameter has NaN or infinite numbers, except those that the site received.

    Args:
        parameters: model that the site returned.
        received: model that it received; None if that is not known.
    """
    for name, value in parameters.items():
        count = count_not_finite(value, (received or {}).get(name))
        if count:
            return Finding(
                f"returned {count} number{'s that are' if count > 1 else ' that is'} NaN or infinite",
                "The training diverged: lower the learning rate, clip gradients or remove NaN from the data.",
                key=str(name),
                rule="not_finite",
            )
    return None


def is_unchanged(received: Mapping[Any, Any], returned: Mapping[Any, Any], is_complete: bool) -> bool:
    """Return whether a site changed no parameter of the model that it received.

    The comparison stops at the first parameter that differs, so it is fast for a site that trains.

    Args:
        received: parameters that the site received.
        returned: parameters, or differences, that the site returned.
        is_complete: whether `returned` are parameters.
    """
    if not returned:
        return False
    if not is_complete:
        return all(is_zero(value) for value in returned.values())
    return all(name in received and equal(received[name], value) for name, value in returned.items())


def find_invalid_weight(steps: Any) -> Finding | None:
    """Check the number of local steps, by which NVFlare weights a site: FedAvg replaces an invalid one by 1.

    Args:
        steps: meta NUM_STEPS_CURRENT_ROUND of a result; None if the site sent none.
    """
    if steps is None:
        return None
    is_number = isinstance(steps, Real) and not isinstance(steps, bool | np.bool_)
    if is_number and math.isfinite(steps) and float(steps) > 0:
        return None
    return Finding(
        f"returned {steps!r:.40} as its number of steps: NVFlare would replace it by 1, or divide by zero",
        "Return a positive number, such as the number of examples or batches, in "
        'FLModel(meta={"NUM_STEPS_CURRENT_ROUND": ...}).',
        key="NUM_STEPS_CURRENT_ROUND",
        rule="weight",
    )


def find_missing_weights(steps: Mapping[str, Any]) -> Finding | None:
    """Check that all sites of a round return their number of steps, or none does.

    Args:
        steps: meta NUM_STEPS_CURRENT_ROUND of each result, by site.
    """
    without = sorted(site for site, number in steps.items() if number is None)
    if not without or len(steps) < 2:
        return None
    remedy = 'Return it in FLModel(meta={"NUM_STEPS_CURRENT_ROUND": number}).'
    if len(without) == len(steps):
        what = "no site returns its number of steps: all sites weigh the same, whatever data they have"
        return Finding(what, remedy, key="NUM_STEPS_CURRENT_ROUND", rule="equal_weights")
    largest = max(float(number) for number in steps.values() if number is not None)
    return Finding(
        f"returned no number of steps: it would weigh 1, and another site {largest:g}",
        remedy,
        site=", ".join(without),
        key="NUM_STEPS_CURRENT_ROUND",
        rule="weight",
    )


def find_growth(before: float, after: float) -> Finding | None:
    """Check that the parameters do not explode.

    The bound is relative to at least 1, since a model that starts near zero may grow by any factor.

    Args:
        before: root mean square of the parameters before the round.
        after: the same after it.
    """
    if after <= GROWTH * max(before, 1.0):
        return None
    return Finding(
        f"the parameters grew from {before:.3g} to {after:.3g} (root mean square) in one round",
        "Lower the learning rate or clip gradients, and check what each site returned.",
        rule="exploding",
    )


def find_oversize(result: Any, model_bytes: int) -> Finding | None:
    """Check that a result, with everything beside the weights, is not much larger than the model."""
    size, allowed = size_of(result), SIZE_FACTOR * model_bytes + SIZE_ALLOWANCE
    if size <= allowed:
        return None
    return Finding(
        f"returned {size / 2**20:.0f} MiB for a model of {model_bytes / 2**20:.0f} MiB",
        f"Return the weights and small facts about them, at most {allowed / 2**20:.0f} MiB.",
        rule="large_result",
    )


def size_of(value: Any) -> int:
    """Return the bytes of all arrays and texts in a document."""
    return sum(_bytes(leaf) for _, leaf in _leaves(value, "", 0))


def _bytes(leaf: Any) -> int:
    size = getattr(leaf, "nbytes", None)
    if isinstance(size, int):
        return size
    return len(leaf) if isinstance(leaf, bytes | bytearray | str) else 8


def find_large_integer(document: Any) -> Finding | None:
    """Check that a document has no integer that NVFlare's messages cannot carry."""
    for path, leaf in _leaves(document, "", 0):
        if type(leaf) is int and not MIN_INTEGER <= leaf <= MAX_INTEGER:
            return Finding(
                f"an integer of {leaf.bit_length()} bits, but NVFlare's messages carry 64: the message would "
                "be lost, and the job would wait forever",
                "Send it as a float or as text.",
                key=path,
                rule="large_integer",
            )
    return None


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the values in a document of dicts, lists and tuples, each with its path."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, list | tuple | set):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]", depth + 1)
    else:
        yield path, value
