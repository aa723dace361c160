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
    Kind,
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


def test_scalars_of_summary_writer_have_the_prefix_of_their_tag() -> None:
    found = read("error", {"train": 1, "valid": 2.5}, Type.SCALARS)
    assert [(point.tag, getattr(point, "value", None)) for point in found] == [
        ("error/train", 1.0),
        ("error/valid", 2.5),
    ]


@pytest.mark.parametrize("writer", [LogWriterName.MLFLOW, LogWriterName.WANDB])
def test_metrics_of_the_mlflow_and_wandb_writers_keep_their_own_names(writer: LogWriterName) -> None:
    found = read("metrics", {"loss": 1.0, "accuracy": 0.5}, Type.METRICS, writer, global_step=1)
    assert [point.tag for point in found] == ["loss", "accuracy"]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Type.TEXT, "hello", (Kind.TEXT, "noted", "hello")),
        (Type.PARAMETER, 0.1, (Kind.PARAMETER, "noted", "0.1")),
        (Type.PARAMETERS, {"rate": 3}, (Kind.PARAMETER, "rate", "3")),
        (Type.TAG, True, (Kind.TAG, "noted", "True")),
        (Type.TAGS, {"team": "a"}, (Kind.TAG, "team", "a")),
        (Type.LOG_RECORD, "a line", (Kind.TEXT, "noted", "a line")),
    ],
)
def test_texts_parameters_and_tags_are_texts(kind: Type, value: Any, expected: tuple[Kind, str, str]) -> None:
    (point,) = read("noted", value, kind, LogWriterName.MLFLOW)
    assert isinstance(point, TextPoint)
    assert (point.kind, point.tag, point.value) == expected


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


def test_a_model_without_a_histogram_is_no_point() -> None:
    assert read("model", "bytes", Type.MODEL) == []


@pytest.mark.parametrize("value", [numpy.zeros((2, 3, 4, 5)), numpy.zeros((0, 3)), "not an image"])
def test_an_invalid_image_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        read("sample", value, Type.IMAGE)


@pytest.mark.parametrize(
    "bins", [{"edges": [1.0], "counts": [1]}, {"edges": [0, 1, 2], "counts": ["x", 1]}, {}]
)
def test_an_invalid_histogram_is_refused(bins: Any) -> None:
    with pytest.raises((ValueError, KeyError)):
        read("weights", "histogram", Type.MODEL, **{HISTOGRAM_KEY: bins})


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


@pytest.mark.parametrize(
    "document",
    [
        {"points": [{"kind": "scalar", "tag": "", "time": 1, "value": 1}]},
        {"points": [{"kind": "scalar", "tag": "a", "time": 1, "value": 1, "further": 1}]},
        {"points": [{"kind": "unknown", "tag": "a", "time": 1, "value": 1}]},
        {"points": [{"kind": "scalar", "tag": "a", "time": 1, "value": 1, "step": 2**63}]},
        {
            "points": [
                {"kind": "image", "tag": "a", "time": 1, "png": "", "width": 0, "height": 1, "channels": 1}
            ]
        },
        {"points": [{"kind": "scalar", "tag": "a", "time": 1, "value": 1}] * 5001},
        {"points": [], "job": "x" * 1000},
    ],
)
def test_an_invalid_document_is_refused(document: Any) -> None:
    with pytest.raises(ValidationError):
        AnalyticsDocument.model_validate(document)
