"""One logged value on its way from the job to the server's volume: the form in which it is pushed."""

from __future__ import annotations

import re
from enum import Enum
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

MAX_TAG = 256
"""Characters of a tag; longer ones are cut."""
MAX_TEXT = 64 * 1024
"""Characters of a text; longer ones are cut."""
MAX_IMAGE = 256 * 1024
"""Bytes of an image as PNG."""
MAX_BINS = 512
"""Of a histogram."""

_UNFIT_FOR_A_FOLDER = re.compile(r"[^A-Za-z0-9._@-]")


class Kind(str, Enum):
    """What a point holds."""

    SCALAR = "scalar"
    TEXT = "text"
    IMAGE = "image"
    HISTOGRAM = "histogram"
    PARAMETER = "parameter"
    """A setting of the training, such as a learning rate: it has one value, not one for each step."""
    TAG = "tag"
    """A word about the run, as MLflow has them."""


class _Point(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    site: Annotated[str, Field(max_length=MAX_TAG)] = ""
    """Who logged it; empty: the server itself."""
    tag: Annotated[str, Field(min_length=1, max_length=MAX_TAG)]
    step: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    time: float
    """When it reached the server, in seconds since the epoch."""


class Scalar(_Point):
    """A number."""

    kind: Literal[Kind.SCALAR] = Kind.SCALAR
    value: float


class Text(_Point):
    """Words, as Markdown; also the value of a parameter or of a tag."""

    kind: Literal[Kind.TEXT, Kind.PARAMETER, Kind.TAG] = Kind.TEXT
    value: Annotated[str, Field(max_length=MAX_TEXT)]


class Image(_Point):
    """A picture."""

    kind: Literal[Kind.IMAGE] = Kind.IMAGE
    width: Annotated[int, Field(ge=1, le=65536)]
    height: Annotated[int, Field(ge=1, le=65536)]
    channels: Literal[1, 3, 4]
    png: Annotated[str, Field(max_length=MAX_IMAGE * 4 // 3 + 4)]
    """Base64."""


class Histogram(_Point):
    """How often values fall between two edges."""

    kind: Literal[Kind.HISTOGRAM] = Kind.HISTOGRAM
    edges: Annotated[tuple[float, ...], Field(min_length=2, max_length=MAX_BINS + 1)]
    counts: Annotated[tuple[float, ...], Field(min_length=1, max_length=MAX_BINS)]


AnyPoint: TypeAlias = Scalar | Text | Image | Histogram
Point: TypeAlias = Annotated[AnyPoint, Field(discriminator="kind")]
"""The same, as a field of a document: which of them it is, `kind` says."""

_POINT: TypeAdapter[AnyPoint] = TypeAdapter(Point)


def read_line(line: bytes) -> AnyPoint | None:
    """The point in a line of a queue; None if it is none, such as a line that a full disk cut."""
    try:
        return _POINT.validate_json(line)
    except ValidationError:
        return None


def folder_of(site: str) -> str:
    """A site's name as the name of a folder."""
    name = _UNFIT_FOR_A_FOLDER.sub("_", site)[:128]
    return name if name.strip(".") else f"_{name}"
