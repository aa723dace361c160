"""Which versions of Flower are supported, and which app bundles a site accepts."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest

from fl_app.flower.bundle import first_difference
from fl_app.flower.environment import flower_environment, version_error
from fl_app.jobs import flower_recipe
from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.flower_digits.job import FlowerDigitsParameters, recipe

NOT_SUPPORTED = r"flwr {} is installed here, .*>=1\.27"


@pytest.mark.parametrize(
    ("version", "error"),
    [
        *((version, "$") for version in ("1.27", "1.27.0", "1.30.1", "1.34.0", "1.34.9")),
        *((v, NOT_SUPPORTED.format(v)) for v in ("1.26.9", "1.35", "1.35.0", "2.0", "1.28.0.dev1", "mine")),
        (None, "Flower is not installed here"),
    ],
)
def test_only_supported_versions_have_no_error(version: str | None, error: str) -> None:
    assert re.match(error, version_error(version))


def test_an_unsupported_version_is_rejected_before_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flower_recipe, "installed_version", lambda package: "1.35.0")
    with pytest.raises(ValueError, match=r"flwr 1\.35\.0 is installed here"):
        recipe(FlowerDigitsParameters(), ["a", "b"])


def test_flower_uses_the_jobs_folder_and_sends_no_telemetry(tmp_path: Path) -> None:
    variables = flower_environment(tmp_path)
    assert Path(variables.pop("FLWR_HOME")).parent == tmp_path
    assert variables == {
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    }


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "client.py").write_text("A = 1\n")
    (tmp_path / "pyproject.toml").write_text('# a comment\n[project]\nname = "app"\n')
    return tmp_path


FILES = {"code/client.py": "A = 1\n", "pyproject.toml": '[project]\nname = "app"\n', ".info/CONTENT": "x"}


def bundle(**changes: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in {**FILES, **changes}.items():
            archive.writestr(name, text)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "differing"),
    [
        (bundle(), ""),
        (bundle(**{"code/client.py": "A = 2\n"}), "code/client.py"),
        (bundle(**{"code/more.py": ""}), "code/more.py"),
        (bundle(**{"pyproject.toml": '[project]\nname = "other"\n'}), "pyproject.toml"),
        (bundle(**{"pyproject.toml": "not = toml ="}), "pyproject.toml"),
        (bundle(**{"../outside.py": "B = 1"}), "../outside.py"),
        (b"", "the bundle"),
        (b"no archive", "the bundle"),
        (bundle()[:-30], "the bundle"),
    ],
    ids=["same", "changed", "added", "renamed", "no TOML", "outside", "empty", "no archive", "truncated"],
)
def test_a_bundle_that_differs_from_the_app_of_the_site_is_rejected_with_the_file(
    app: Path, content: bytes, differing: str
) -> None:
    (app.parent / "outside.py").write_text("B = 1")
    assert first_difference(content, app) == differing


def test_the_parameters_are_those_of_fedadagrad() -> None:
    ours, theirs = FlowerDigitsParameters.model_fields, DigitParameters.model_fields
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name].default != theirs[name].default} == {"rounds"}
