"""Which Flower is taken, and what an app may be."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from fl_app.flower import recipe as recipes
from fl_app.flower.bundle import first_difference
from fl_app.flower.environment import environment, what_is_wrong
from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.flower_digits.job import FlowerDigitsParameters, recipe


@pytest.mark.parametrize("version", ["1.27", "1.27.0", "1.30.1", "1.34.0", "1.34.9"])
def test_a_flower_that_works_is_taken(version: str) -> None:
    assert what_is_wrong(version) == ""


@pytest.mark.parametrize("version", ["1.26.9", "1.35", "1.35.0", "2.0", "1.28.0.dev1", "mine"])
def test_another_flower_is_refused_with_what_is_there_and_what_is_needed(version: str) -> None:
    wrong = what_is_wrong(version)
    assert f"flwr {version} is installed here" in wrong
    assert ">=1.27" in wrong and "<1.35" in wrong


def test_no_flower_is_told_as_such() -> None:
    assert what_is_wrong(None).startswith("Flower is not installed here")


def test_a_wrong_flower_is_refused_before_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "installed", lambda: "1.35.0")
    with pytest.raises(ValueError, match=r"flwr 1\.35\.0 is installed here"):
        recipe(FlowerDigitsParameters(), ["a", "b"])


def test_flower_keeps_to_the_jobs_folder_and_reports_to_nobody(tmp_path: Path) -> None:
    variables = environment(tmp_path)
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


def test_the_app_that_a_site_has_itself_is_let_through(app: Path) -> None:
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
def test_any_other_code_is_refused_with_the_file(app: Path, changes: dict[str, str], differing: str) -> None:
    (app.parent / "outside.py").write_text("B = 1")
    assert first_difference(bundle(**changes), app) == differing


@pytest.mark.parametrize("content", [b"", b"no archive", bundle()[:-30]], ids=["empty", "other", "cut"])
def test_what_is_no_bundle_is_refused(app: Path, content: bytes) -> None:
    assert first_difference(content, app) == "the bundle"


def test_the_jobs_parameters_are_fedadagrads() -> None:
    ours, theirs = FlowerDigitsParameters.model_fields, DigitParameters.model_fields
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name].default != theirs[name].default} == {"rounds"}
