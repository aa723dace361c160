"""Custom builders in project.yml."""

from __future__ import annotations

import sys

import pytest

from deploy.errors import InputError
from tests.unit.provision.federation import SERVER, Federation


def test_a_custom_builder_runs_and_rebuilds_every_kit_when_a_participant_is_added(
    federation: Federation,
) -> None:
    (federation.folder / "motd.py").write_text(
        "from pathlib import Path\n"
        "from nvflare.lighter.spec import Builder\n"
        "class Motd(Builder):\n"
        "    def build(self, project, ctx):\n"
        "        names = ','.join(client.name for client in project.get_clients())\n"
        "        for one in project.get_all_participants():\n"
        "            Path(ctx.get_local_dir(one), 'motd').write_text(names)\n"
    )
    federation.document["builders"].append({"path": "motd.Motd"})
    federation.provision()
    federation.add("site-3")

    report = federation.provision()

    assert len(report.renewed) == 4
    for name in (SERVER, "site-1", "site-3"):
        assert (federation.workspace.kit(name) / "local" / "motd").read_text() == "site-1,site-2,site-3"
    assert not federation.provision().changed


def test_a_failing_builder_is_reported_and_nothing_changes(
    federation: Federation, capfd: pytest.CaptureFixture[str]
) -> None:
    (federation.folder / "failing.py").write_text(
        "from nvflare.lighter.spec import Builder\n"
        "class Failing(Builder):\n"
        "    def build(self, project, ctx):\n"
        "        raise ValueError('the moon is full')\n"
    )
    before = federation.files()
    federation.document["builders"].append({"path": "failing.Failing"})

    with pytest.raises(InputError, match="Failing failed: the moon is full"):
        federation.provision()

    assert federation.files() == before
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("base", ["cert.CertBuilder", "workspace.WorkspaceBuilder"])
def test_subclasses_of_the_replaced_builders_are_refused(federation: Federation, base: str) -> None:
    (federation.folder / "own.py").write_text(
        f"from nvflare.lighter.impl.{base.split('.')[0]} import {base.split('.')[1]} as Base\n"
        "class Own(Base):\n    pass\n"
    )
    federation.document["builders"].append({"path": "own.Own"})
    sys.modules.pop("own", None)

    with pytest.raises(InputError, match=r"own.Own: Flarefleet replaces WorkspaceBuilder and CertBuilder"):
        federation.provision()


def test_a_builder_that_cannot_be_created_is_reported(federation: Federation) -> None:
    (federation.folder / "broken.py").write_text(
        "from nvflare.lighter.spec import Builder\n"
        "class Broken(Builder):\n"
        "    def __init__(self):\n"
        "        raise RuntimeError('no license')\n"
    )
    federation.document["builders"].append({"path": "broken.Broken"})

    with pytest.raises(InputError, match=r"broken.Broken cannot be created: .*no license"):
        federation.provision()
