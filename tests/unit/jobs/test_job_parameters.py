"""Parameters of Flarefleet's jobs: invalid ones are rejected, valid ones reach the server and the sites."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import InputError
from deploy.session.parameters import find_job, read_parameters
from fl_app.jobs.registry import find

SITES = ("Zurich", "a-clinic", "b_clinic", "z")
EXPORTED = {
    "hospital": {
        "rounds": 3, "local_epochs": 4, "learning_rate": 0.2, "batch_size": 8, "hidden": 5, "seed": 6,
        "dataset": "digits", "algorithm": "fedprox", "mu": 0.5,
    },
    "fedadagrad": {
        "rounds": 3, "fraction_train": 0.75, "local_epochs": 4, "learning_rate": 0.2, "halve_every": 2,
        "server_learning_rate": 0.3, "tau": 0.01, "evaluate_every": 7, "batch_size": 8, "hidden": 5,
        "patience": 9, "tolerance": 0.5, "seed": 6,
    },
    "fedprox-vla": {
        "rounds": 3, "local_epochs": 4, "mu": 0.5, "learning_rate": 0.2, "batch_size": 4, "max_norm": 2.0,
        "amp": "off", "device": "cpu", "evaluate_every": 7, "policy": "/policy", "dataset": "/recordings",
        "evaluation_dataset": "/server", "episodes": 5, "hub_repository": "lab/arm", "seed": 6,
    },
}  # fmt: skip
"""Values of all parameters of these jobs, each other than its default."""


@pytest.mark.parametrize("name", EXPORTED)
def test_every_parameter_is_exported_for_the_server_and_the_sites(name: str, tmp_path: Path) -> None:
    job, given = find(name), EXPORTED[name]
    parameters = job.parameters(**given)
    defaults = job.parameters().model_dump()
    assert all(defaults[key] != value for key, value in given.items())
    assert parameters.model_dump(exclude_none=True) == given

    job.recipe(parameters, SITES).export(str(tmp_path))

    server, client = (_config(tmp_path, side) for side in ("server", "client"))
    site = client["executors"][0]["executor"]["args"]
    assert site == {"sites": list(SITES), "parameters": given}
    workflow = server["workflows"][0]["args"]
    assert workflow.get("parameters", given) == given
    assert given["rounds"] == workflow.get("num_rounds", workflow.get("parameters", {}).get("rounds"))
    assert len(SITES) in (workflow.get("sites"), workflow.get("num_clients"))
    persistor = next(each for each in server["components"] if each["id"] == "persistor")
    network = {"source": "/policy"} if name == "fedprox-vla" else {"hidden": 5}
    assert persistor["args"]["model"]["args"] == {**network, "seed": 6}


@pytest.mark.parametrize(
    ("job", "sites", "message"),
    [
        *(("hospital", sites, f"{sites} hospitals: .* over 2 to 85") for sites in (0, 1, 86)),
        *(("fedadagrad", sites, f"{sites} sites: .* over 2 to 143") for sites in (0, 1, 144)),
        *(("hospital dataset=digits", sites, f"{sites} sites") for sites in (0, 1, 90)),
    ],
)
def test_an_unsupported_number_of_sites_is_rejected(job: str, sites: int, message: str) -> None:
    name, *settings = job.split()
    parameters = read_parameters(find_job(name), settings)
    with pytest.raises(ValueError, match=message):
        find(name).recipe(parameters, [f"site-{number}" for number in range(sites)])


@pytest.mark.parametrize(
    ("job", "settings", "message"),
    [
        *(("fibonacci", setting, "") for setting in (
            "level=0", "level=-1", "level=20001", "level=1.5", "level=ten", "level=", 'levels={"north": 0}',
            'levels={"north": "x"}', "levels=[1, 2]", "levels=12", "rounds=0", "timeout=0", "levle=3",
        )),
        *(("fedprox-vla", setting, "") for setting in (
            "mu=-0.1", "mu=nan", "max_norm=0", "rounds=0", "amp=fp8", "device=tpu", "hub_repository=no-owner",
            "hub_repository=owner/name/more", "policy=", "seed=-1", "grad_clip_norm=1.0",
        )),
        ("hospital", "rounds=0", "greater than or equal to 1"),
        ("hospital", "rounds=2.5", "valid integer"),
        ("hospital", "rounds=many", "valid integer"),
        ("hospital", "local_epochs=-1", "greater than or equal to 1"),
        ("hospital", "learning_rate=0", "greater than 0"),
        ("hospital", "learning_rate=nan", "learning_rate=nan"),
        ("hospital", "learning_rate=inf", "learning_rate=inf"),
        ("hospital", "batch_size=0", "greater than or equal to 1"),
        ("hospital", "hidden=1000000", "less than or equal to 1024"),
        ("hospital", "seed=-1", "greater than or equal to 0"),
        ("hospital", "seed=4294967296", "less than 4294967296"),
        ("hospital", "epochs=3", "did you mean local_epochs"),
        ("hospital", "dataset=iris", "'breast_cancer' or 'digits'"),
        ("hospital", "algorithm=FedProx", "'fedavg', 'fedprox' or 'fedadagrad'"),
        ("hospital", "mu=0.1", "mu needs algorithm=fedprox; fedavg ignores it"),
        ("hospital", "mu=0.1 algorithm=fedadagrad", "fedadagrad ignores it"),
        ("hospital", "server_learning_rate=1 algorithm=fedprox", "needs algorithm=fedadagrad"),
        ("hospital", "mu=-1 algorithm=fedprox", "greater than or equal to 0"),
        ("hospital", "mu=nan algorithm=fedprox", "mu=nan"),
        ("hospital", "server_learning_rate=0 algorithm=fedadagrad", "greater than 0"),
        ("fedadagrad", "rounds=0", "greater than or equal to 1"),
        ("fedadagrad", "fraction_train=0", "greater than 0"),
        ("fedadagrad", "fraction_train=1.5", "less than or equal to 1"),
        ("fedadagrad", "fraction_train=nan", "fraction_train=nan"),
        ("fedadagrad", "halve_every=0", "greater than or equal to 1"),
        ("fedadagrad", "learning_rate=inf", "learning_rate=inf"),
        ("fedadagrad", "tau=0", "greater than 0"),
        ("fedadagrad", "tolerance=1", "less than 1"),
        ("fedadagrad", "evaluate_every=half", "valid integer"),
        ("fedadagrad", "fraction=0.5", "did you mean fraction_train"),
    ],
)  # fmt: skip
def test_an_invalid_parameter_is_rejected_by_name(job: str, settings: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read_parameters(find_job(job), settings.split(" ") if "levels" not in settings else [settings])
    assert settings.partition("=")[0] in str(error.value)
    assert message in str(error.value)


def _config(folder: Path, side: str) -> dict[str, Any]:
    return json.loads(next(folder.rglob(f"config_fed_{side}.json")).read_text())
