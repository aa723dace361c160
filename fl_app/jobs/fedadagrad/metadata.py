"""What a site says about its training beside the weights: plain numbers and lists, read strictly where they
arrive.

Never pickle: whoever unpickles what a site sends runs that site's code.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError

REPORT = "training_report"
"""Under which a result's metadata carries it."""
MOST_LOSSES = 1000

Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class BadReport(ValueError):  # noqa: N818 - read by people
    """A report that cannot be used; its text names every field that is wrong, and why."""


class TrainingReport(BaseModel):
    """One site's training in one round."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    version: Literal[1] = 1
    """Of this form."""
    seconds: Annotated[Finite, Field(ge=0)]
    """How long it trained."""
    losses: Annotated[tuple[Finite, ...], Field(min_length=1, max_length=MOST_LOSSES)]
    """The mean loss of each epoch of this round."""
    converged: StrictBool
    """Whether the losses of all its rounds have come to a plateau."""
    examples: Annotated[StrictInt, Field(ge=1, lt=2**63)]
    """How many it trained on."""

    def to_wire(self) -> dict[str, Any]:
        """As it travels: nothing but numbers, booleans and a list."""
        return self.model_dump(mode="json")

    @classmethod
    def from_wire(cls, received: object) -> TrainingReport:
        """Read what a site sent.

        Raises:
            BadReport: it is missing, or fields of it are missing, unknown or of a wrong value.
        """
        if received is None:
            raise BadReport(f"{REPORT}: is missing")
        if not isinstance(received, dict) or not all(isinstance(key, str) for key in received):
            raise BadReport(f"{REPORT}: is no mapping of names but {type(received).__name__}")
        try:
            return cls.model_validate(received)
        except ValidationError as error:
            raise BadReport("; ".join(_complaint(found) for found in error.errors())) from None


def _complaint(found: Any) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"])
    if found["type"] == "missing":
        return f"{REPORT}{where}: is missing"
    if found["type"] == "extra_forbidden":
        return f"{REPORT}{where}: is unknown"
    value = repr(found["input"])
    return f"{REPORT}{where}: {found['msg']}, but it is {value if len(value) <= 40 else value[:37] + '...'}"
