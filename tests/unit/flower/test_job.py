"""The job `flower-digits` as NVFlare gets it; Flower itself is not needed to put it together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fl_app.flower.processes import app_folder
from fl_app.jobs.flower_digits.job import APP, FlowerDigitsParameters, recipe

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib

SITES = ("Zurich", "b_clinic", "z")


def test_every_parameter_and_the_number_of_sites_reach_the_app(tmp_path: Path) -> None:
    parameters = FlowerDigitsParameters(rounds=3, fraction_train=0.75, learning_rate=1e-05, seed=9)
    recipe(parameters, SITES).export(str(tmp_path))

    server = json.loads(next(tmp_path.rglob("config_fed_server.json")).read_text())
    told = server["workflows"][0]["args"]["run_config"]
    assert told.pop("num-sites") == len(SITES)
    assert {name.replace("-", "_"): value for name, value in told.items()} == parameters.model_dump()


def test_flower_knows_every_name_and_kind_of_value_that_it_is_told(tmp_path: Path) -> None:
    known = tomllib.loads((app_folder(APP) / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    sites = known.pop("num-sites")
    assert sites == 2
    assert {name.replace("-", "_"): value for name, value in known.items()} == (
        FlowerDigitsParameters().model_dump()
    )
    for name, value in FlowerDigitsParameters().model_dump().items():
        assert type(known[name.replace("_", "-")]) is type(value)


def test_no_code_travels_with_the_job(tmp_path: Path) -> None:
    recipe(FlowerDigitsParameters(), SITES).export(str(tmp_path))
    assert not [*tmp_path.rglob("*.py"), *tmp_path.rglob("custom")]


@pytest.mark.parametrize("sites", [0, 1, 144])
def test_sites_that_the_images_cannot_be_divided_over_are_refused(sites: int) -> None:
    with pytest.raises(ValueError, match=f"{sites} sites: the digits can be divided over 2 to 143"):
        recipe(FlowerDigitsParameters(), [f"site-{number}" for number in range(sites)])
