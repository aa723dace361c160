"""The report that a site sends beside its weights: plain values, validated strictly by the receiver.

It is never pickled: unpickling data of a site would run that site's code.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError

REPORT = "training_report"
"""Key of the report in a result's metadata."""
MAX_LOSSES = 1000

Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class BadReport(ValueError):  # noqa: N818 - an outcome that users read
    """An invalid report. The text names every invalid field and the reason."""


class TrainingReport(BaseModel):
    """One site's training in one round."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    version: Literal[1] = 1
    """Version of this format"""
    seconds: Annotated[Finite, Field(ge=0)]
    """Duration of the training"""
    losses: Annotated[tuple[Finite, ...], Field(min_length=1, max_length=MAX_LOSSES)]
    """Mean loss of each epoch of the round"""
    converged: StrictBool
    """Whether the losses of all rounds have reached a plateau"""
    examples: Annotated[StrictInt, Field(ge=1, lt=2**63)]
    """Number of training examples"""

    def to_wire(self) -> dict[str, Any]:
        """Return numbers, booleans and a list, which travel in any encoding."""
        return self.model_dump(mode="json")

    @classmethod
    def from_wire(cls, received: object) -> TrainingReport:
        """Read a report that a site sent.

        Raises:
            BadReport: the report or one of its fields is missing, or a field is unknown or invalid.
        """
        if received is None:
            raise BadReport(f"{REPORT}: is missing")
        if not isinstance(received, dict) or not all(isinstance(key, str) for key in received):
            raise BadReport(f"{REPORT}: is not a mapping of names but {type(received).__name__}")
        try:
            return cls.model_validate(received)
        except ValidationError as error:
            raise BadReport("; ".join(_describe(found) for found in error.errors())) from None


def _describe(found: Any) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"])
    if found["type"] == "missing":
        return f"{REPORT}{where}: is missing"
    if found["type"] == "extra_forbidden":
        return f"{REPORT}{where}: is unknown"
    value = repr(found["input"])
    return f"{REPORT}{where}: {found['msg']}, but it is {value if len(value) <= 40 else value[:37] + '...'}"
