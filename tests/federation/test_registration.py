"""A site whose registration the server refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fl_app.startup.exit_codes import Exit
from tests.federation.federation import SERVER, Federation
from tests.federation.parent import Parent
from tests.waiting import eventually

pytestmark = pytest.mark.federation


@pytest.fixture
def clinics(new_federation: Callable[..., Federation]) -> Federation:
    """A provisioned federation of one site."""
    return new_federation()


@pytest.fixture
def server(clinics: Federation, tmp_path: Path, start: Callable[..., Parent]) -> Parent:
    """The server of the federation, which is ready."""
    parent = start(clinics.kit(SERVER), tmp_path / SERVER)
    eventually(parent.is_ready, what="the server is ready")
    return parent


def test_a_refused_site_reports_the_servers_reason(
    clinics: Federation, server: Parent, start: Callable[..., Parent], tmp_path: Path
) -> None:
    """The site's kit names another project of the same certificate authority."""
    kit = Path(shutil.copytree(clinics.kit("site-1"), tmp_path / "kit"))
    facts = kit / "startup" / "fed_client.json"
    document = json.loads(facts.read_text())
    document["servers"][0]["name"] = "another"
    facts.write_text(json.dumps(document))

    site = start(kit, tmp_path / "site-1")

    assert site.wait(60) == Exit.REFUSED
    assert "the server refused the registration of this site" in site.last_line()
