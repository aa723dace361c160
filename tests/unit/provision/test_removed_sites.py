"""Sites that leave the federation, and that come back."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.provision.federation import ADMIN, SERVER, Federation


def test_a_removed_site_is_named_and_its_kit_kept_aside(federation: Federation) -> None:
    kit = {Path(name).name: seen.content for name, seen in federation.seen("site-2").items()}
    before = federation.seen(SERVER, "site-1", ADMIN)
    federation.remove("site-2")

    report = federation.provision()

    (removed,) = report.removed
    assert removed.name == "site-2"
    assert removed.kit.parent == federation.workspace.removed
    assert (removed.kit / "startup" / "client.crt").read_bytes() == kit["client.crt"]
    assert removed.valid_until is not None
    assert not federation.workspace.kit("site-2").exists()
    assert not (federation.workspace.release / "site-2").exists()
    assert federation.seen(SERVER, "site-1", ADMIN) == before


def test_the_key_of_a_removed_site_leaves_the_state(federation: Federation) -> None:
    federation.remove("site-2")

    federation.provision()

    state = json.loads((federation.workspace.state / "cert.json").read_text())
    assert "site-1" in state
    assert "site-2" not in state


def test_a_site_that_comes_back_gets_a_new_key(federation: Federation) -> None:
    before = federation.certificate("site-2")
    entry = federation.remove("site-2")
    federation.provision()
    federation.document["participants"].append(entry)

    report = federation.provision()

    assert report.created == ("site-2",)
    assert federation.certificate("site-2").public_key() != before.public_key()
