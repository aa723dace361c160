"""The JSON schema for editors accepts valid files and rejects what `check` rejects."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from deploy.checkout import CHECKOUT, DEMO_PROJECT, PROJECT_SCHEMA
from deploy.project.creation import Answers, project_text

from .project_file import VALID, changed, edits

EXAMPLES = (CHECKOUT / "examples" / "consortium" / "project.yml", DEMO_PROJECT)


@pytest.fixture(scope="module")
def schema() -> Draft7Validator:
    document = json.loads(PROJECT_SCHEMA.read_text())
    Draft7Validator.check_schema(document)
    return Draft7Validator(document)


def errors(schema: Draft7Validator, text: str) -> list[str]:
    document: Any = yaml.load(text, yaml.CSafeLoader)
    return [error.message for error in schema.iter_errors(document)]


def test_every_valid_file_is_accepted(schema: Draft7Validator) -> None:
    new = project_text(Answers("a", "localhost", 8002, ("site-1",), ("a@b.org", "c@d.org")), builders=True)
    valid = [VALID, new, *(file.read_text() for file in EXAMPLES), *(text for text, _ in edits("valid.txt"))]

    # The schema has the lower-case spelling only.
    valid = [text for text in valid if "CLEAR" not in text]
    assert {text: found for text in valid if (found := errors(schema, text))} == {}
    assert len(valid) > 20


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("api_version: 3", "api_versoin: 3"),
        ("fed_learn_port: 8002", "fed_learn_prot: 8002"),
        ("fed_learn_port: 8002", "fed_learn_port: 0"),
        ("role: project_admin", "role: boss"),
        ("gpus: 1", "gpus: one"),
        ("mode: ro", "mode: read"),
        ("variant: gpu", "variant: tpu"),
        ("org: hospital_1", "organization: hospital_1"),
    ],
)
def test_a_mistake_is_rejected(schema: Draft7Validator, old: str, new: str) -> None:
    assert errors(schema, changed(old, new))


def test_every_key_is_explained(schema: Draft7Validator) -> None:
    document = schema.schema
    assert isinstance(document, dict)
    sections = {"": document, **document["$defs"]}
    assert len(sections) > 15
    for name, section in sections.items():
        for key, value in section["properties"].items():
            assert value["description"].endswith("."), f"{name}.{key}"
