"""The exported job `flower-digits`; exporting it needs no Flower."""

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


def test_the_app_receives_every_parameter_and_the_number_of_sites(tmp_path: Path) -> None:
    parameters = FlowerDigitsParameters(rounds=3, fraction_train=0.75, learning_rate=1e-05, seed=9)
    recipe(parameters, SITES).export(str(tmp_path))

    assert not [*tmp_path.rglob("*.py"), *tmp_path.rglob("custom")], "the job contains no code"
    server = json.loads(next(tmp_path.rglob("config_fed_server.json")).read_text())
    run_config = server["workflows"][0]["args"]["run_config"]
    assert run_config.pop("num-sites") == len(SITES)
    assert {name.replace("-", "_"): value for name, value in run_config.items()} == parameters.model_dump()


def test_the_app_declares_every_parameter_with_its_type() -> None:
    app = tomllib.loads((app_folder(APP) / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    declared = {name.replace("-", "_"): value for name, value in app["config"].items()}
    assert declared.pop("num_sites") == 2
    defaults = FlowerDigitsParameters().model_dump()
    assert declared == defaults
    assert {name: type(value) for name, value in declared.items()} == {
        name: type(value) for name, value in defaults.items()
    }


@pytest.mark.parametrize("sites", [0, 1, 144])
def test_an_invalid_number_of_sites_is_rejected(sites: int) -> None:
    with pytest.raises(ValueError, match=f"{sites} sites: the digits can be divided over 2 to 143"):
        recipe(FlowerDigitsParameters(), [f"site-{number}" for number in range(sites)])
