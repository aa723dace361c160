"""The job `hospital` as NVFlare gets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import InputError
from deploy.session.parameters import find_job, read_parameters
from fl_app.jobs.hospital.job import HospitalParameters, recipe

SITES = ("Zurich", "a-clinic", "b_clinic", "z")


def test_every_site_gets_the_same_list_of_all_sites_in_the_order_of_the_job(tmp_path: Path) -> None:
    hospital = _client(tmp_path, HospitalParameters())["executors"][0]["executor"]

    assert hospital["path"] == "fl_app.jobs.hospital.client.Hospital"
    assert hospital["args"]["hospitals"] == list(SITES)


def test_parameters_reach_the_sites_and_the_server(tmp_path: Path) -> None:
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


def test_the_best_model_is_chosen_by_the_hospitals_own_patients(tmp_path: Path) -> None:
    _client(tmp_path, HospitalParameters())

    selector = _component(_server(tmp_path), "model_selector")

    assert selector["args"]["key_metric"] == "own_accuracy"


def test_no_code_travels_with_the_job(tmp_path: Path) -> None:
    _client(tmp_path, HospitalParameters())

    assert not [*tmp_path.rglob("*.py"), *tmp_path.rglob("custom")]


@pytest.mark.parametrize("sites", [("alone",), (), tuple(f"site-{number}" for number in range(86))])
def test_sites_that_the_patients_cannot_be_divided_over_are_refused(sites: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"{len(sites)} hospitals: the data set can be divided over 2 to 85"):
        recipe(HospitalParameters(), sites)


@pytest.mark.parametrize(
    ("setting", "complaint"),
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
def test_a_parameter_that_makes_no_sense_is_refused_with_its_name(setting: str, complaint: str) -> None:
    with pytest.raises(InputError) as refusal:
        read_parameters(find_job("hospital"), [setting])

    assert setting.partition("=")[0] in str(refusal.value)
    assert complaint in str(refusal.value)


def test_every_parameter_says_what_it_is() -> None:
    assert all(field.description for field in HospitalParameters.model_fields.values())


def _client(folder: Path, parameters: HospitalParameters) -> dict[str, Any]:
    recipe(parameters, SITES).export(str(folder))
    return json.loads(next(folder.rglob("config_fed_client.json")).read_text())


def _server(folder: Path) -> dict[str, Any]:
    return json.loads(next(folder.rglob("config_fed_server.json")).read_text())


def _component(server: dict[str, Any], name: str) -> dict[str, Any]:
    return next(component for component in server["components"] if component["id"] == name)
