"""Conversion of NVFlare's analytics, of every AnalyticsDataType, to points of limited size."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from typing import Any

from nvflare.apis.analytix import AnalyticsData, AnalyticsDataType, TrackConst
from nvflare.apis.dxo import DXO

from fl_app.telemetry.analytics_events import scalars_of
from fl_app.tracking.points import (
    MAX_BINS,
    MAX_IMAGE,
    MAX_TAG,
    MAX_TEXT,
    AnyPoint,
    HistogramPoint,
    ImagePoint,
    Kind,
    ScalarPoint,
    TextPoint,
)

HISTOGRAM_KEY = "histogram"
"""Keyword argument of a value of type MODEL, which NVFlare's receivers ignore: {"edges", "counts"}."""
MAX_SIDE = 1024
"""Pixels; larger images are scaled down."""
_SCALE = 0.7
"""Factor by which an image is scaled until it is small enough."""

_TEXTS: Mapping[AnalyticsDataType, Any] = {
    AnalyticsDataType.TEXT: Kind.TEXT,
    AnalyticsDataType.LOG_RECORD: Kind.TEXT,
    AnalyticsDataType.PARAMETER: Kind.PARAMETER,
    AnalyticsDataType.PARAMETERS: Kind.PARAMETER,
    AnalyticsDataType.TAG: Kind.TAG,
    AnalyticsDataType.TAGS: Kind.TAG,
}


def points_of(dxo: DXO, site: str, time: float) -> Iterator[AnyPoint]:
    """Yield the points of a logged value; none for a type that has no point.

    Args:
        dxo: value as NVFlare transfers it.
        site: site that logged it; "" for the server.
        time: time of arrival, in seconds since 1970.

    Raises:
        TypeError, ValueError: the value does not match its type.
    """
    writer = dxo.get_meta_prop(TrackConst.TRACKER_KEY)
    data = AnalyticsData.from_dxo(dxo, receiver=writer)
    if data is None:
        return
    common: dict[str, Any] = {"site": site[:MAX_TAG], "step": data.step or 0, "time": time}
    kind = data.data_type
    if (scalars := scalars_of(data)) is not None:
        for tag, scalar in scalars.items():
            yield ScalarPoint(tag=_tag(tag), value=scalar, **common)
    elif kind in _TEXTS:
        for name, text in (data.value if isinstance(data.value, Mapping) else {data.tag: data.value}).items():
            yield TextPoint(kind=_TEXTS[kind], tag=_tag(str(name)), value=str(text)[:MAX_TEXT], **common)
    elif kind is AnalyticsDataType.IMAGE:
        yield ImagePoint(tag=_tag(data.tag), **_encoded(data.value), **common)
    elif isinstance(data.kwargs.get(HISTOGRAM_KEY), Mapping):
        yield HistogramPoint(tag=_tag(data.tag), **_bins(data.kwargs[HISTOGRAM_KEY]), **common)


def _tag(name: str) -> str:
    return name[:MAX_TAG] or "unnamed"


def _bins(histogram: Mapping[str, Any]) -> dict[str, Any]:
    edges, counts = list(histogram["edges"]), list(histogram["counts"])
    if len(edges) != len(counts) + 1 or len(counts) > MAX_BINS:
        raise ValueError(f"a histogram must have one more edge than counts, and at most {MAX_BINS} counts")
    return {"edges": tuple(map(float, edges)), "counts": tuple(map(float, counts))}


def _encoded(value: Any) -> dict[str, Any]:
    """Return the fields of an ImagePoint for an array in HW, HWC or CHW layout."""
    import numpy
    from PIL import Image

    array = numpy.asarray(value)
    if array.ndim == 2:
        array = array[:, :, None]
    elif array.ndim == 3 and array.shape[0] in (1, 3, 4):  # the layout of torch; NVFlare also tries it first
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise ValueError(f"an image must be HW, HWC or CHW with 1, 3 or 4 channels, not {numpy.shape(value)}")
    if array.dtype != numpy.uint8:
        array = (numpy.nan_to_num(array.astype(numpy.float32)) * 255).clip(0, 255).astype(numpy.uint8)
    channels = array.shape[2]
    picture = Image.fromarray(array[:, :, 0] if channels == 1 else array)
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    while len(png := _png(picture)) > MAX_IMAGE:
        picture = picture.resize([max(1, int(side * _SCALE)) for side in picture.size])
    return {
        "width": picture.width,
        "height": picture.height,
        "channels": channels,
        "png": base64.b64encode(png).decode(),
    }


def _png(picture: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, format="PNG")
    return out.getvalue()
