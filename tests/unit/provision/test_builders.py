"""Custom builders in project.yml."""

from __future__ import annotations

import sys

import pytest

from deploy.errors import InputError
from tests.unit.provision.federation import SERVER, Federation


def add_builder(federation: Federation, code: str) -> None:
    """Add a class `Own` with this code to project.yml."""
    (federation.folder / "own.py").write_text(f"from nvflare.lighter.spec import Builder\n{code}")
    federation.document["builders"].append({"path": "own.Own"})
    sys.modules.pop("own", None)


def test_a_custom_builder_runs_and_rebuilds_every_kit_when_a_participant_is_added(
    federation: Federation,
) -> None:
    add_builder(
        federation,
        "from pathlib import Path\n"
        "class Own(Builder):\n"
        "    def build(self, project, ctx):\n"
        "        names = ','.join(client.name for client in project.get_clients())\n"
        "        for one in project.get_all_participants():\n"
        "            Path(ctx.get_local_dir(one), 'motd').write_text(names)\n",
    )
    federation.provision()
    federation.add("site-3")

    report = federation.provision()

    assert len(report.renewed) == 4
    for name in (SERVER, "site-1", "site-3"):
        assert (federation.workspace.kit(name) / "local" / "motd").read_text() == "site-1,site-2,site-3"
    assert not federation.provision().changed


FAILING = "class Own(Builder):\n    def {}(self, *_):\n        raise ValueError('the moon is full')\n"
SUBCLASS = "from nvflare.lighter.impl.{0} import {1} as Base\nclass Own(Base):\n    pass\n"
REFUSAL = "own.Own: Flarefleet replaces WorkspaceBuilder and CertBuilder"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (FAILING.format("build"), "Own failed: the moon is full"),
        (FAILING.format("__init__"), "own.Own cannot be created: .*the moon is full"),
        (SUBCLASS.format("cert", "CertBuilder"), REFUSAL),
        (SUBCLASS.format("workspace", "WorkspaceBuilder"), REFUSAL),
    ],
    ids=["failing", "not constructible", "of CertBuilder", "of WorkspaceBuilder"],
)
def test_an_unusable_builder_is_reported_and_nothing_changes(
    federation: Federation, capfd: pytest.CaptureFixture[str], code: str, message: str
) -> None:
    before = federation.files()
    add_builder(federation, code)

    with pytest.raises(InputError, match=message):
        federation.provision()

    assert federation.files() == before
    assert "Traceback" not in capfd.readouterr().err
