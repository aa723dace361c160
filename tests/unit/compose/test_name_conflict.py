"""Two federations of one name on one Docker engine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.errors import MachineError
from deploy.runtimes.docker.checks import refuse_name_conflict
from deploy.workspace import Workspace


def engine(labels: dict[str, str]) -> Any:
    """Return an engine with one volume, and the containers of no federation."""

    def volumes(filters: dict[str, str]) -> list[SimpleNamespace]:
        name, _, value = filters["label"].partition("=")
        return [SimpleNamespace(attrs={"Labels": labels})] if labels.get(name) == value else []

    return SimpleNamespace(
        volumes=SimpleNamespace(list=volumes), containers=SimpleNamespace(list=lambda **_: [])
    )


@pytest.mark.parametrize("other", ["demo", "Demo"])
def test_a_federation_whose_volumes_another_one_has_is_rejected(tmp_path: Path, other: str) -> None:
    labels = {
        "flare/project": other,
        "flare/workspace": "/srv/other",
        "com.docker.compose.project": "flare-demo",
    }
    with pytest.raises(MachineError, match="from /srv/other; two federations of one name"):
        refuse_name_conflict(engine(labels), "demo", Workspace(tmp_path))


def test_the_own_volumes_and_those_of_other_names_are_no_conflict(tmp_path: Path) -> None:
    own = {"flare/workspace": str(tmp_path), "com.docker.compose.project": "flare-demo"}
    other = {"flare/workspace": "/srv/other", "com.docker.compose.project": "flare-other"}
    for labels in (own, other):
        refuse_name_conflict(engine(labels), "demo", Workspace(tmp_path))
