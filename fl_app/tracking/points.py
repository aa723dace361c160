"""Models of logged values (points), and of the documents in which a job pushes them."""

from __future__ import annotations

import re
from enum import Enum
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

MAX_TAG = 256
"""Characters of a tag; longer tags are truncated."""
MAX_TEXT = 64 * 1024
"""Characters of a text; longer texts are truncated."""
MAX_IMAGE = 256 * 1024
"""Bytes of an image in PNG format."""
MAX_BINS = 512
"""Bins of a histogram."""

_INVALID_IN_FOLDER = re.compile(r"[^A-Za-z0-9._@-]")


class Kind(str, Enum):
    """Type of a point."""

    SCALAR = "scalar"
    TEXT = "text"
    IMAGE = "image"
    HISTOGRAM = "histogram"
    PARAMETER = "parameter"
    """Setting of the training, such as a learning rate: one value, not one for each step."""
    TAG = "tag"
    """Tag of the run, as in MLflow."""


class _Point(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    site: Annotated[str, Field(max_length=MAX_TAG)] = ""
    """Site that logged the value; "" for the server."""
    tag: Annotated[str, Field(min_length=1, max_length=MAX_TAG)]
    step: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    time: float
    """Time of arrival at the server, in seconds since 1970."""


class ScalarPoint(_Point):
    """A number."""

    kind: Literal[Kind.SCALAR] = Kind.SCALAR
    value: float


class TextPoint(_Point):
    """A text in Markdown, or the value of a parameter or tag."""

    kind: Literal[Kind.TEXT, Kind.PARAMETER, Kind.TAG] = Kind.TEXT
    value: Annotated[str, Field(max_length=MAX_TEXT)]


class ImagePoint(_Point):
    """An image."""

    kind: Literal[Kind.IMAGE] = Kind.IMAGE
    width: Annotated[int, Field(ge=1, le=65536)]
    height: Annotated[int, Field(ge=1, le=65536)]
    channels: Literal[1, 3, 4]
    png: Annotated[str, Field(max_length=MAX_IMAGE * 4 // 3 + 4)]
    """PNG file, in base64."""


class HistogramPoint(_Point):
    """A histogram: the number of values between each pair of adjacent edges."""

    kind: Literal[Kind.HISTOGRAM] = Kind.HISTOGRAM
    edges: Annotated[tuple[float, ...], Field(min_length=2, max_length=MAX_BINS + 1)]
    counts: Annotated[tuple[float, ...], Field(min_length=1, max_length=MAX_BINS)]


AnyPoint: TypeAlias = ScalarPoint | TextPoint | ImagePoint | HistogramPoint
Point: TypeAlias = Annotated[AnyPoint, Field(discriminator="kind")]
"""A point as the field of a document; `kind` determines its type."""

MAX_POINTS = 5000
"""Points of one document."""
DOCUMENT_KIND = "analytics"


class AnalyticsDocument(BaseModel):
    """Logged values of one job, in the order of their arrival."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    job: Annotated[str, Field(max_length=256)] = ""
    """Name of the job."""
    points: Annotated[tuple[Point, ...], Field(max_length=MAX_POINTS)]


_POINT: TypeAdapter[AnyPoint] = TypeAdapter(Point)


def parse_point(content: str) -> AnyPoint | None:
    """Return the point in JSON text; None if this release cannot parse it."""
    try:
        return _POINT.validate_json(content)
    except ValidationError:
        return None


def folder_of(site: str) -> str:
    """Return a folder name for the name of a site or the id of a job."""
    name = _INVALID_IN_FOLDER.sub("_", site)[:128]
    return name if name.strip(".") else f"_{name}"
