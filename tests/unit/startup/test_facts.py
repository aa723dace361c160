"""Reading flarefleet.json of a kit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.checks.kit import KitFacts
from fl_app.contract import KIT_FACTS

VALID = {
    "project": "clinics",
    "name": "site-1",
    "role": "client",
    "org": "nv",
    "nvflare": "2.9.0",
    "flarefleet": "0.1.0",
    "server": {"name": "flare-server", "host": "localhost", "fed_learn_port": 8002, "admin_port": 8002},
}


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
def test_an_invalid_description_is_rejected_with_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "local" / KIT_FACTS
    with pytest.raises(StartupError, match=KIT_FACTS):
        KitFacts.read(tmp_path)

    file.parent.mkdir()
    file.write_text(json.dumps(VALID))
    assert KitFacts.read(tmp_path).server.host == "localhost"

    file.write_text(text)
    with pytest.raises(StartupError, match=rf"{KIT_FACTS} is invalid") as raised:
        KitFacts.read(tmp_path)
    assert raised.value.exit_code is Exit.KIT
