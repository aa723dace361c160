"""The job `numpy-fedavg` rejects invalid and ignored parameters before it is submitted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from deploy.errors import InputError
from deploy.session.parameters import find_job, read_parameters
from fl_app.jobs.export import ExportRequest, export
from fl_app.jobs.numpy_fedavg import inputs
from fl_app.jobs.numpy_fedavg.job import PARAMETERS, recipe
from fl_app.jobs.user_code import UserCodeError

JOB = find_job("numpy-fedavg")
SITES = ["north", "south_2", "Site-3"]
AGGREGATOR = """
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator

class First(ModelAggregator):
    def accept_model(self, model): self.model = model
    def aggregate_model(self): return self.model
    def reset_stats(self): pass

class Unfinished(ModelAggregator):
    def accept_model(self, model): pass

class Demanding(First):
    def __init__(self, needed): super().__init__()

class Stranger: pass
number = 7
"""


def refusal(*settings: str) -> str:
    with pytest.raises(InputError) as error:
        read_parameters(JOB, settings)
    return str(error.value)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("model=", "must be a list of numbers, or a .npy file"),
        ("model=[]", "empty"),
        ("model=[[]]", "empty"),
        ("model=[[1, 2], [3]]", "rows differ in length"),
        ("model=[1, [2]]", "rows differ in length"),
        ('model=[1, "2"]', "'2', which is not a number"),
        ("model=[1, true]", "True, which is not a number"),
        ("model=[1, null]", "None, which is not a number"),
        ("model=[1, NaN]", "not finite"),
        ("model=[1e39]", "not finite as a 32-bit float"),
        ("model=nowhere.npy", "a .npy file that exists"),
        ("model={}", "list"),
        ("rounds=0", "at least 1"),
        ("min_clients=0", "greater than or equal to 1"),
        ("train_script=nowhere.py", "must be a Python file that exists"),
        ("train_script=/etc/hostname", "must be a Python file that exists"),
        ("train_args=--name 'north", "No closing quotation"),
        ("command=", "at least 1 character"),
        ("command='python", "No closing quotation"),
        ("transfer=HALF", "'FULL' or 'DIFF'"),
        ("transfer=full", "'FULL' or 'DIFF'"),
        ("external_process=perhaps", "boolean"),
        ("shutdown_timeout=-1", "greater than or equal to 0"),
        ("shutdown_timeout=inf", "finite"),
        ("aggregator=mode", "must be mean, median, or FILE.py:CLASS"),
        ("aggregator=nowhere.py:Mine", "must be a Python file that exists"),
        ('aggregation_weights={"north": 0}', "greater than 0"),
        ('aggregation_weights={"north": NaN}', "finite"),
        ("exclude_vars=(", "not a regular expression"),
        ('aggregation_weights={"north": 2} aggregator=median', "need aggregator=mean"),
        ("exclude_vars=numpy.* aggregator=median", "need aggregator=mean"),
        ("key_metric_mode=best", "'max' or 'min'"),
        ("stop_cond=loss<0.1", "not a condition"),
        ("stop_cond=loss <= low", "not a condition"),
        ("stop_cond=loss <= nan", "not a condition"),
        ("stop_cond=loss = 0.1", "not a condition"),
        ("stop_cond=loss >= 0.1", "contradicts key_metric_mode=min"),
        ("patience=3", "patience needs stop_cond"),
        ('per_site={"north": {"train_arguments": ""}}', "Extra inputs"),
        ('per_site={"north": {"train_script": "nowhere.py"}}', "must be a Python file that exists"),
        ('per_site={"north": "--steps 5"}', "dictionary"),
    ],
)  # fmt: skip
def test_an_invalid_parameter_is_rejected_with_the_reason(setting: str, why: str) -> None:
    settings = re.split(" (?=aggregator=)", setting)
    assert why in refusal(*settings)


@pytest.mark.parametrize(
    ("settings", "mode", "warning"),
    [
        ([], "min", None),
        (["key_metric=accuracy"], "max", None),
        (["key_metric=val_loss", "key_metric_mode=min"], "min", None),
        (["key_metric=accuracy", "stop_cond=accuracy >= 0.9"], "max", None),
        (["key_metric=fitness", "key_metric_mode=min"], "min", None),
        (["key_metric=fitness", "stop_cond=fitness <= 3"], "min", None),
        (["key_metric=fitness", "stop_cond=loss <= 3"], "max", "key_metric=fitness: .* Set key_metric_mode"),
        (["key_metric=fitness"], "max", "key_metric=fitness: .* Set key_metric_mode"),
        (["key_metric=accuracy", "key_metric_mode=min"], "min", "smallest accuracy would be kept"),
        (["key_metric_mode=max"], "max", "largest loss would be kept"),
    ],
)  # fmt: skip
def test_the_best_model_is_chosen_in_the_direction_of_the_metric(
    settings: list[str], mode: str, warning: str | None, tmp_path: Path
) -> None:
    parameters = read_parameters(JOB, settings).model_dump(mode="json")
    request = ExportRequest(parameters=parameters, sites=tuple(SITES), only_these=False, folder=tmp_path)

    reply = export(JOB, request)

    (config,) = tmp_path.rglob("config_fed_server.json")
    (selector,) = (
        one for one in json.loads(config.read_text())["components"] if one["id"] == "model_selector"
    )
    assert selector["args"].get("negate_key_metric", False) is (mode == "min")
    assert [bool(re.search(str(warning), text)) for text in reply.warnings] == [True] * (warning is not None)


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.array(["a"]), "not numbers"),
        (np.array([1 + 2j]), "not numbers"),
        (np.array([True]), "not numbers"),
        (np.array([{"a": 1}], dtype=object), "is not a NumPy array"),
        (np.zeros(inputs.MAX_NUMBERS + 1), "the maximum is 1000000"),
    ],
    ids=lambda given: given if isinstance(given, str) else str(given.dtype),
)
def test_a_file_without_a_valid_model_is_rejected(tmp_path: Path, array: np.ndarray, why: str) -> None:
    np.save(tmp_path / "start.npy", array, allow_pickle=True)
    assert why in refusal(f"model={tmp_path / 'start.npy'}")


def test_a_custom_script_needs_an_initial_model(tmp_path: Path) -> None:
    script = tmp_path / "my_train.py"
    script.write_text("import numpy\n")
    assert "train_script needs an initial model" in refusal(f"train_script={script}")
    assert "train_script needs an initial model" in refusal(
        f'per_site={{"north": {{"train_script": "{script}"}}}}'
    )
    read_parameters(JOB, [f"train_script={script}", "model=[0]"])


def test_a_syntax_error_in_the_script_is_reported_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def train(:\n")
    message = refusal(f"train_script={tmp_path / 'broken.py'}", "model=[0]")
    assert message.startswith(f"{tmp_path}/broken.py:1: SyntaxError: ")


def test_a_relative_path_is_resolved_when_the_parameters_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "start.npy", np.array([[1, 2], [3, 4]], dtype=np.int32))
    monkeypatch.chdir(tmp_path)
    parameters = read_parameters(JOB, ["model=start.npy"])
    monkeypatch.chdir("/")
    assert inputs.initial_model(parameters.model).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"min_clients": 4}, "min_clients=4 exceeds the 3 sites"),
        ({"per_site": {"east": {}}}, "per_site: east: not among the sites"),
        ({"aggregation_weights": {"east": 1.0}}, "aggregation_weights: east: not among the sites"),
    ],
)
def test_a_parameter_that_does_not_fit_the_sites_is_rejected(changes: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        recipe(PARAMETERS.model_validate(changes), SITES)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("json.py:First", "another package has the name json"),
        ("Missing", "has no class Missing"),
        ("number", "has no class number"),
        ("Stranger", "has no class Stranger, a subclass of .*ModelAggregator"),
        ("Unfinished", "abstract class Unfinished .*aggregate_model.* reset_stats"),
        ("Demanding", r"Demanding\(\) failed: .* missing 1 required positional argument: 'needed'"),
    ],
)
def test_an_invalid_aggregator_is_rejected(tmp_path: Path, name: str, why: str) -> None:
    file, _, class_name = name.rpartition(":")
    path = tmp_path / (file or f"aggregators_{tmp_path.name}.py")
    path.write_text(AGGREGATOR)
    with pytest.raises(ValueError, match=why):
        recipe(PARAMETERS(aggregator=f"{path}:{class_name}"), SITES)


@pytest.mark.parametrize(
    ("code", "location"),
    [
        ("import no_such_package\n", "1: ModuleNotFoundError: No module named 'no_such_package'"),
        ("\ndef broken(:\n", "2: SyntaxError: "),
        (AGGREGATOR + "\nraise KeyError('x')\n", r"\d+: KeyError: 'x'"),
    ],
)
def test_an_error_in_an_aggregator_is_reported_by_file_and_line(
    tmp_path: Path, code: str, location: str
) -> None:
    file = tmp_path / "broken_aggregator.py"
    file.write_text(AGGREGATOR)
    parameters = PARAMETERS(aggregator=f"{file}:First")
    file.write_text(code)
    with pytest.raises(UserCodeError, match=rf"^{file}:{location}"):
        recipe(parameters, SITES)
