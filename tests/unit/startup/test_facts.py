"""Reading flarefleet.json of a kit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fl_app.contract import KIT_FACTS
from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.kit import KitFacts

VALID = {
    "project": "clinics",
    "name": "site-1",
    "role": "client",
    "org": "nv",
    "nvflare": "2.9.0",
    "flarefleet": "0.1.0",
    "server": {"name": "flare-server", "host": "localhost", "fed_learn_port": 8002, "admin_port": 8002},
}


def kit_with(folder: Path, text: str) -> Path:
    (folder / "local").mkdir()
    (folder / "local" / KIT_FACTS).write_text(text)
    return folder


def test_a_valid_file_is_read(tmp_path: Path) -> None:
    facts = KitFacts.read(kit_with(tmp_path, json.dumps(VALID)))

    assert (facts.name, facts.role, facts.server.host) == ("site-1", "client", "localhost")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        json.dumps(VALID | {"role": "admin"}),
        json.dumps(VALID | {"server": None}),
        json.dumps({key: value for key, value in VALID.items() if key != "name"}),
        json.dumps(VALID | {"server": {**VALID["server"], "admin_port": "many"}}),  # type: ignore[dict-item]
    ],
)
def test_an_invalid_file_is_rejected_with_its_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(StartupError, match=rf"{KIT_FACTS} is invalid") as raised:
        KitFacts.read(kit_with(tmp_path, text))

    assert raised.value.exit_code is Exit.KIT


def test_a_kit_without_the_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=KIT_FACTS):
        KitFacts.read(tmp_path)
