"""The quorum of the kit's jobs: what `--set quorum=` exports, and what it rejects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fl_app.jobs.parameters import QuorumParameters
from fl_app.jobs.registry import find

SITES = ("north", "south", "west", "east")


def exported(job: str, folder: Path, **parameters: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return meta.json and the workflow of an exported job."""
    found = find(job)
    found.recipe(found.parameters(**parameters), SITES).export(str(folder))
    server = next(folder.rglob("config_fed_server.json"))
    workflow = json.loads(server.read_text())["workflows"][0]
    return json.loads(next(folder.rglob("meta.json")).read_text()), workflow


@pytest.mark.parametrize(
    ("job", "parameters"),
    [("probe", {}), ("hospital", {}), ("hospital", {"algorithm": "fedadagrad"}), ("numpy-fedavg", {})],
)
def test_a_quorum_reaches_the_controller_and_lets_the_job_start_with_as_many_sites(
    job: str, parameters: dict[str, Any], tmp_path: Path
) -> None:
    meta, workflow = exported(job, tmp_path, quorum=0.6, quorum_grace=5, rounds=7, **parameters)
    assert meta["min_clients"] == 3
    assert not meta.get("mandatory_clients")
    arguments = workflow["args"]
    assert (arguments["quorum"], arguments["quorum_grace"], arguments["num_rounds"]) == (3, 5, 7)
    assert workflow["path"].rpartition(".")[2] in ("QuorumFedAvg", "FedAdagrad")


def test_the_controller_of_fedprox_vla_reads_its_quorum_from_the_parameters(tmp_path: Path) -> None:
    from fl_app.jobs.fedprox_vla.controller import EvaluatedFedProx

    meta, workflow = exported("fedprox-vla", tmp_path, quorum=2, quorum_grace=5)
    built = EvaluatedFedProx(**workflow["args"])
    assert meta["min_clients"] == 2
    assert (built.quorum, built.quorum_grace) == (2, 5)


@pytest.mark.parametrize("job", ["probe", "hospital", "numpy-fedavg"])
def test_without_a_quorum_nvflares_own_fedavg_needs_every_site(job: str, tmp_path: Path) -> None:
    meta, workflow = exported(job, tmp_path)
    assert meta["min_clients"] == len(SITES)
    assert workflow["path"].startswith("nvflare.")


@pytest.mark.parametrize(
    ("quorum", "sites", "needed"),
    [(None, 3, 0), (2, 3, 2), (1, 3, 1), (0.5, 4, 2), (0.5, 5, 3), (0.1, 30, 3), (0.999, 3, 3)],
)
def test_a_quorum_is_a_number_of_sites_or_a_share_of_them(
    quorum: float | None, sites: int, needed: int
) -> None:
    assert QuorumParameters(quorum=quorum).results_needed(sites) == needed


def test_a_quorum_of_more_sites_than_there_are_is_rejected() -> None:
    with pytest.raises(ValueError, match="quorum=3 exceeds the 2 sites"):
        QuorumParameters(quorum=3).results_needed(2)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"quorum": 0}, "greater than 0"),
        ({"quorum": 1.5}, "must be a whole number of sites, or a share below 1"),
        ({"quorum_grace": 5}, "quorum_grace needs quorum"),
        ({"quorum": 2, "quorum_grace": -1}, "greater than or equal to 0"),
    ],
)
def test_a_meaningless_quorum_is_rejected(parameters: dict[str, float], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        QuorumParameters(**parameters)  # type: ignore[arg-type]


def test_numpy_fedavg_samples_sites_or_has_a_quorum() -> None:
    with pytest.raises(ValidationError, match="quorum and min_clients exclude each other"):
        find("numpy-fedavg").parameters(quorum=2, min_clients=3)
