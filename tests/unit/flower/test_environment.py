"""Which versions of Flower are supported, and which app bundles a site accepts."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from fl_app.flower.bundle import first_difference
from fl_app.flower.environment import flower_environment, version_error
from fl_app.jobs import flower_recipe
from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.flower_digits.job import FlowerDigitsParameters, recipe


@pytest.mark.parametrize("version", ["1.27", "1.27.0", "1.30.1", "1.34.0", "1.34.9"])
def test_a_supported_version_has_no_error(version: str) -> None:
    assert version_error(version) == ""


@pytest.mark.parametrize("version", ["1.26.9", "1.35", "1.35.0", "2.0", "1.28.0.dev1", "mine"])
def test_an_unsupported_version_is_reported_with_the_supported_ones(version: str) -> None:
    wrong = version_error(version)
    assert f"flwr {version} is installed here" in wrong
    assert ">=1.27" in wrong and "<1.35" in wrong


def test_a_missing_flower_is_reported() -> None:
    assert version_error(None).startswith("Flower is not installed here")


def test_an_unsupported_version_is_rejected_before_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flower_recipe, "installed_version", lambda package: "1.35.0")
    with pytest.raises(ValueError, match=r"flwr 1\.35\.0 is installed here"):
        recipe(FlowerDigitsParameters(), ["a", "b"])


def test_flower_uses_the_jobs_folder_and_sends_no_telemetry(tmp_path: Path) -> None:
    variables = flower_environment(tmp_path)
    assert Path(variables["FLWR_HOME"]).parent == tmp_path
    assert variables["FLWR_TELEMETRY_ENABLED"] == "0"
    assert variables["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert variables["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"


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


def test_the_app_of_the_site_is_accepted(app: Path) -> None:
    assert first_difference(bundle(), app) == ""


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({"code/client.py": "A = 2\n"}, "code/client.py"),
        ({"code/more.py": ""}, "code/more.py"),
        ({"pyproject.toml": '[project]\nname = "other"\n'}, "pyproject.toml"),
        ({"pyproject.toml": "not = toml ="}, "pyproject.toml"),
        ({"../outside.py": "B = 1"}, "../outside.py"),
    ],
)
def test_different_code_is_rejected_with_the_file(app: Path, changes: dict[str, str], differing: str) -> None:
    (app.parent / "outside.py").write_text("B = 1")
    assert first_difference(bundle(**changes), app) == differing


@pytest.mark.parametrize("content", [b"", b"no archive", bundle()[:-30]], ids=["empty", "other", "cut"])
def test_an_invalid_bundle_is_rejected(app: Path, content: bytes) -> None:
    assert first_difference(content, app) == "the bundle"


def test_the_parameters_are_those_of_fedadagrad() -> None:
    ours, theirs = FlowerDigitsParameters.model_fields, DigitParameters.model_fields
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name].default != theirs[name].default} == {"rounds"}
