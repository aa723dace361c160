"""A damaged file of the context is refused, with what to do."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from deploy.errors import MachineError
from tests.unit.provision.federation import Federation

STATE = "he_context.json"
OTHER = {"poly_modulus_degree": 4096}


def flipped(text: str) -> str:
    """Change one character in the middle of the clients' context."""
    document = json.loads(text)
    content = document["secret"]["client"]
    middle = len(content) // 2
    document["secret"]["client"] = (
        content[:middle] + ("A" if content[middle] != "A" else "B") + content[middle + 1 :]
    )
    return json.dumps(document)


def shortened(text: str) -> str:
    """Cut the clients' context at a multiple of four characters, which is valid base64."""
    document = json.loads(text)
    document["secret"]["client"] = document["secret"]["client"][:400]
    return json.dumps(document)


def with_foreign_characters(text: str) -> str:
    document = json.loads(text)
    document["secret"]["client"] = "*" + document["secret"]["client"]
    return json.dumps(document)


def without_arguments(text: str) -> str:
    return json.dumps({**json.loads(text), "arguments": None})


def with_other_arguments(text: str) -> str:
    return json.dumps({**json.loads(text), "arguments": OTHER})


@pytest.mark.parametrize("renew", [False, True])
@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "{}",
        lambda text: text[: len(text) // 2],
        flipped,
        shortened,
        with_foreign_characters,
        without_arguments,
        with_other_arguments,
    ],
    ids=["empty", "cut", "flipped", "shortened", "foreign characters", "no arguments", "other arguments"],
)
def test_a_damaged_context_is_refused(federation: Federation, damage: Any, renew: bool) -> None:
    file = federation.workspace.state / STATE
    file.write_text(damage(file.read_text()))
    before = federation.files()

    with pytest.raises(
        MachineError, match=f"{re.escape(str(file))} is damaged. .* Restore it from a backup, or move it away"
    ):
        federation.provision(renew=renew)

    assert federation.files() == before
