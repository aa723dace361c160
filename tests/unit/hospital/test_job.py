"""The exported job `hospital`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import InputError
from deploy.session.parameters import find_job, read_parameters
from fl_app.jobs.hospital.job import HospitalParameters, recipe

SITES = ("Zurich", "a-clinic", "b_clinic", "z")


def test_every_site_receives_the_list_of_all_sites_in_order(tmp_path: Path) -> None:
    hospital = _client(tmp_path, HospitalParameters())["executors"][0]["executor"]

    assert hospital["path"] == "fl_app.jobs.hospital.client.Hospital"
    assert hospital["args"]["hospitals"] == list(SITES)


def test_the_parameters_are_exported(tmp_path: Path) -> None:
    parameters = HospitalParameters(
        rounds=3, local_epochs=4, learning_rate=0.2, batch_size=8, hidden=5, seed=6
    )

    args = _client(tmp_path, parameters)["executors"][0]["executor"]["args"]
    server = _server(tmp_path)

    assert args == {
        "hospitals": list(SITES),
        "seed": 6,
        "hidden": 5,
        "local_epochs": 4,
        "learning_rate": 0.2,
        "batch_size": 8,
    }
    assert server["workflows"][0]["args"]["num_rounds"] == 3
    assert server["workflows"][0]["args"]["num_clients"] == len(SITES)
    model = _component(server, "persistor")["args"]["model"]
    assert model == {
        "path": "fl_app.jobs.hospital.model.TumourClassifier",
        "args": {"hidden": 5, "seed": 6},
    }


def test_the_best_model_is_chosen_on_the_hospitals_own_patients(tmp_path: Path) -> None:
    _client(tmp_path, HospitalParameters())

    selector = _component(_server(tmp_path), "model_selector")

    assert selector["args"]["key_metric"] == "own_accuracy"


def test_the_exported_job_contains_no_code(tmp_path: Path) -> None:
    _client(tmp_path, HospitalParameters())

    assert not [*tmp_path.rglob("*.py"), *tmp_path.rglob("custom")]


@pytest.mark.parametrize("sites", [("alone",), (), tuple(f"site-{number}" for number in range(86))])
def test_an_unsupported_number_of_sites_is_rejected(sites: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"{len(sites)} hospitals: the data set can be divided over 2 to 85"):
        recipe(HospitalParameters(), sites)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rounds=0", "greater than or equal to 1"),
        ("rounds=2.5", "valid integer"),
        ("rounds=many", "valid integer"),
        ("local_epochs=-1", "greater than or equal to 1"),
        ("learning_rate=0", "greater than 0"),
        ("learning_rate=nan", "learning_rate=nan"),
        ("learning_rate=inf", "learning_rate=inf"),
        ("batch_size=0", "greater than or equal to 1"),
        ("hidden=1000000", "less than or equal to 1024"),
        ("seed=-1", "greater than or equal to 0"),
        ("seed=4294967296", "less than 4294967296"),
        ("epochs=3", "did you mean local_epochs"),
    ],
)
def test_an_invalid_parameter_is_rejected_by_name(setting: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read_parameters(find_job("hospital"), [setting])

    assert setting.partition("=")[0] in str(error.value)
    assert message in str(error.value)


def _client(folder: Path, parameters: HospitalParameters) -> dict[str, Any]:
    recipe(parameters, SITES).export(str(folder))
    return json.loads(next(folder.rglob("config_fed_client.json")).read_text())


def _server(folder: Path) -> dict[str, Any]:
    return json.loads(next(folder.rglob("config_fed_server.json")).read_text())


def _component(server: dict[str, Any], name: str) -> dict[str, Any]:
    return next(component for component in server["components"] if component["id"] == name)
