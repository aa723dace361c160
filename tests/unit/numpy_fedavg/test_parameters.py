"""The job `numpy-fedavg` refuses, before anything is submitted, what would go wrong or be ignored later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploy.errors import InputError
from deploy.session.parameters import find_job, read_parameters
from fl_app.jobs.numpy_fedavg import inputs
from fl_app.jobs.numpy_fedavg.job import PARAMETERS, recipe

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


@pytest.fixture
def script(tmp_path: Path) -> str:
    file = tmp_path / "my_train.py"
    file.write_text("import numpy\n")
    return str(file)


@pytest.fixture
def aggregators(tmp_path: Path) -> str:
    file = tmp_path / f"aggregators_{tmp_path.name}.py"
    file.write_text(AGGREGATOR)
    return str(file)


def refusal(*settings: str) -> str:
    with pytest.raises(InputError) as error:
        read_parameters(JOB, settings)
    return str(error.value)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("model=", "must be a list of numbers, or a file .npy"),
        ("model=[]", "empty"),
        ("model=[[]]", "empty"),
        ("model=[[1, 2], [3]]", "rows differ in length"),
        ("model=[1, [2]]", "rows differ in length"),
        ('model=[1, "2"]', "'2', which is no number"),
        ("model=[1, true]", "True, which is no number"),
        ("model=[1, null]", "None, which is no number"),
        ("model=[1, NaN]", "not finite"),
        ("model=[1e39]", "not finite as a 32-bit float"),
        ("model=nowhere.npy", "a file .npy that exists"),
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
        ("exclude_vars=(", "no regular expression"),
        ("key_metric_mode=best", "'min' or 'max'"),
        ("stop_cond=loss<0.1", "no condition"),
        ("stop_cond=loss <= low", "no condition"),
        ("stop_cond=loss <= nan", "no condition"),
        ("stop_cond=loss >= 0.1", "contradict"),
        ("patience=3", "patience needs stop_cond"),
        ('per_site={"north": {"train_arguments": ""}}', "Extra inputs"),
        ('per_site={"north": {"train_script": "nowhere.py"}}', "must be a Python file that exists"),
        ('per_site={"north": "--steps 5"}', "dictionary"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_refused_with_what_is_wrong(setting: str, why: str) -> None:
    assert why in refusal(setting)


def test_a_script_of_ones_own_needs_an_initial_model(script: str) -> None:
    assert "train_script needs its initial model" in refusal(f"train_script={script}")
    assert "train_script needs its initial model" in refusal(
        f'per_site={{"north": {{"train_script": "{script}"}}}}'
    )
    read_parameters(JOB, [f"train_script={script}", "model=[0]"])


def test_what_another_aggregator_ignores_is_refused() -> None:
    assert "are of the mean" in refusal("aggregator=median", 'aggregation_weights={"north": 2}')
    assert "are of the mean" in refusal("aggregator=median", "exclude_vars=numpy.*")


def test_a_script_that_is_no_python_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def train(:\n")
    assert "is no Python" in refusal(f"train_script={tmp_path / 'broken.py'}", "model=[0]")


def test_a_file_is_read_wherever_the_command_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "start.npy", np.array([[1, 2], [3, 4]], dtype=np.int32))
    monkeypatch.chdir(tmp_path)
    parameters = read_parameters(JOB, ["model=start.npy"])
    monkeypatch.chdir("/")
    assert inputs.initial_model(parameters.model).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([1 + 2j]), np.array([True])], ids=str)
def test_a_file_that_holds_no_numbers_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "start.npy", array)
    assert "not numbers" in refusal(f"model={tmp_path / 'start.npy'}")


def test_a_file_with_python_objects_is_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "start.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "is no array" in refusal(f"model={tmp_path / 'start.npy'}")


def test_a_model_too_large_to_travel_as_text_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "start.npy", np.zeros(inputs.MOST_NUMBERS + 1))
    assert "at most 1000000 can travel" in refusal(f"model={tmp_path / 'start.npy'}")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"min_clients": 4}, "min_clients=4, and there are 3"),
        ({"per_site": {"east": {}}}, "per_site: east: none of the sites"),
        ({"aggregation_weights": {"east": 1.0}}, "aggregation_weights: east: none of the sites"),
    ],
)
def test_what_does_not_fit_the_sites_is_refused(changes: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        recipe(PARAMETERS.model_validate(changes), SITES)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Missing", "has no class Missing"),
        ("number", "has no class number"),
        ("Stranger", "must be a subclass of .*ModelAggregator"),
        ("Unfinished", "with accept_model, aggregate_model and reset_stats"),
        ("Demanding", "cannot be made without arguments"),
    ],
)
def test_an_aggregator_that_would_fail_at_the_server_is_refused(
    aggregators: str, name: str, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        recipe(PARAMETERS(aggregator=f"{aggregators}:{name}"), SITES)


def test_an_aggregator_named_as_a_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(AGGREGATOR)
    with pytest.raises(ValueError, match="there is a package json already"):
        recipe(PARAMETERS(aggregator=f"{tmp_path / 'json.py'}:First"), SITES)
