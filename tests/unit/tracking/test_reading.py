"""Conversion of NVFlare's analytics to points: every type, with limited size."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy
import pytest
from nvflare.apis.analytix import AnalyticsDataType, LogWriterName
from nvflare.apis.utils.analytix_utils import create_analytic_dxo
from PIL import Image
from pydantic import ValidationError

from fl_app.tracking.points import (
    MAX_IMAGE,
    MAX_TAG,
    MAX_TEXT,
    AnalyticsDocument,
    AnyPoint,
    HistogramPoint,
    ImagePoint,
    ScalarPoint,
    TextPoint,
)
from fl_app.tracking.reading import HISTOGRAM_KEY, MAX_SIDE, points_of

Type = AnalyticsDataType


def read(
    tag: str, value: Any, kind: Type, writer: LogWriterName = LogWriterName.TORCH_TB, **more: Any
) -> list[AnyPoint]:
    dxo = create_analytic_dxo(tag, value, kind, writer, **more)
    return list(points_of(dxo, "site-1", 12.5))


def decoded(point: AnyPoint) -> Image.Image:
    assert isinstance(point, ImagePoint)
    return Image.open(io.BytesIO(base64.b64decode(point.png)))


def test_a_scalar_keeps_its_site_step_and_precision() -> None:
    assert read("loss", 0.1, Type.SCALAR, global_step=7) == [
        ScalarPoint(site="site-1", tag="loss", step=7, time=12.5, value=0.1)
    ]


@pytest.mark.parametrize(
    ("kind", "writer", "value", "expected"),
    [
        (
            Type.SCALARS,
            LogWriterName.TORCH_TB,
            {"a": 1, "b": 2.5},
            [("scalar", "noted/a", 1.0), ("scalar", "noted/b", 2.5)],
        ),
        (Type.METRICS, LogWriterName.MLFLOW, {"a": 1.0}, [("scalar", "a", 1.0)]),
        (
            Type.METRICS,
            LogWriterName.WANDB,
            {"a": 1.0, "b": 2.0},
            [("scalar", "a", 1.0), ("scalar", "b", 2.0)],
        ),
        (Type.TEXT, LogWriterName.MLFLOW, "hello", [("text", "noted", "hello")]),
        (Type.PARAMETER, LogWriterName.MLFLOW, 0.1, [("parameter", "noted", "0.1")]),
        (Type.PARAMETERS, LogWriterName.MLFLOW, {"rate": 3}, [("parameter", "rate", "3")]),
        (Type.TAG, LogWriterName.MLFLOW, True, [("tag", "noted", "True")]),
        (Type.TAGS, LogWriterName.MLFLOW, {"team": "a"}, [("tag", "team", "a")]),
        (Type.LOG_RECORD, LogWriterName.MLFLOW, "a line", [("text", "noted", "a line")]),
        (Type.MODEL, LogWriterName.TORCH_TB, "bytes", []),
    ],
)
def test_each_type_is_converted(
    kind: Type, writer: LogWriterName, value: Any, expected: list[tuple[str, str, Any]]
) -> None:
    found = read("noted", value, kind, writer)
    assert [(point.kind, point.tag, getattr(point, "value", None)) for point in found] == expected


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 3), (3, 8, 6), (1, 8, 6), (4, 8, 6)])
def test_an_image_of_any_usual_layout_is_converted(shape: tuple[int, ...]) -> None:
    (point,) = read("sample", numpy.full(shape, 0.5, numpy.float32), Type.IMAGE)
    shown = decoded(point)
    assert shown.size == (6, 8)
    assert numpy.asarray(shown).flatten()[0] == 127


def test_a_large_image_is_scaled_down() -> None:
    noise = numpy.random.default_rng(0).integers(0, 255, (3, 3000, 2000), numpy.uint8)
    (point,) = read("noise", noise, Type.IMAGE)
    shown = decoded(point)
    assert max(shown.size) <= MAX_SIDE
    assert isinstance(point, ImagePoint)
    assert len(base64.b64decode(point.png)) <= MAX_IMAGE
    assert AnalyticsDocument.model_validate_json(AnalyticsDocument(points=(point,)).model_dump_json())


def test_a_histogram_is_a_value_of_type_model() -> None:
    bins = {"edges": [0.0, 1.0, 2.0], "counts": [3, 4]}
    (point,) = read("weights", "histogram", Type.MODEL, **{HISTOGRAM_KEY: bins}, global_step=2)
    assert point == HistogramPoint(
        site="site-1", tag="weights", step=2, time=12.5, edges=(0.0, 1.0, 2.0), counts=(3.0, 4.0)
    )


@pytest.mark.parametrize(
    ("kind", "value", "more"),
    [
        *((Type.IMAGE, value, {}) for value in (numpy.zeros((2, 3, 4, 5)), numpy.zeros((0, 3)), "text")),
        *(
            (Type.MODEL, "histogram", {HISTOGRAM_KEY: bins})
            for bins in ({"edges": [1.0], "counts": [1]}, {"edges": [0, 1, 2], "counts": ["x", 1]}, {})
        ),
    ],
)
def test_an_invalid_image_or_histogram_is_refused(kind: Type, value: Any, more: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        read("sample", value, kind, **more)


def test_long_tags_and_texts_are_truncated() -> None:
    (point,) = read("t" * 1000, "x" * 1_000_000, Type.TEXT)
    assert isinstance(point, TextPoint)
    assert (len(point.tag), len(point.value)) == (MAX_TAG, MAX_TEXT)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_kept(value: float) -> None:
    (point,) = read("loss", value, Type.SCALAR)
    document = AnalyticsDocument(points=(point,)).model_dump_json()
    (back,) = AnalyticsDocument.model_validate_json(document).points
    assert isinstance(back, ScalarPoint)
    assert repr(back.value) == repr(value)


SCALAR = {"kind": "scalar", "tag": "a", "time": 1, "value": 1}
IMAGE = {"kind": "image", "tag": "a", "time": 1, "png": "", "width": 1, "height": 1, "channels": 1}


@pytest.mark.parametrize(
    "document",
    [
        *(
            {"points": [SCALAR | change]}
            for change in ({"tag": ""}, {"further": 1}, {"kind": "unknown"}, {"step": 2**63})
        ),
        {"points": [IMAGE | {"width": 0}]},
        {"points": [SCALAR] * 5001},
        {"points": [], "job": "x" * 1000},
    ],
)
def test_an_invalid_document_is_refused(document: Any) -> None:
    AnalyticsDocument.model_validate({"points": [SCALAR, IMAGE]})
    with pytest.raises(ValidationError):
        AnalyticsDocument.model_validate(document)
