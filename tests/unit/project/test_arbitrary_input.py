"""Any content of the file either is a valid project, or causes errors that each have a line."""

from __future__ import annotations

import copy
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from nvflare.lighter.prov_utils import prepare_builders
from nvflare.lighter.provision import prepare_project

from deploy.errors import InputError
from deploy.project import Project, load_project
from deploy.project.validation.diagnostics import Location

from .project_file import VALID

# An example takes 0.1 to 0.3 s, mostly in the generation of values. EXAMPLES=1000 searches further.
some = settings(
    max_examples=int(os.environ.get("EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)

DOCUMENT = yaml.safe_load(VALID)
WORDS = sorted(set(re.findall(r"[\w.@-]+", VALID)))

texts = (
    st.sampled_from(WORDS)
    | st.sampled_from(["", "x", "A_b", "-", "20GB", "localhost", "<<", "x-a"])
    | st.text(max_size=8)
)
plain = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.dates()
anything = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def read(content: bytes) -> Project | None:
    """Return the project, or None after a check that each error has a line of the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "project.yml"
        path.write_bytes(content)
        try:
            project = load_project(path)
        except InputError as error:
            assert error.messages
            last = (
                content.count(b"\n")
                + content.count(b"\r")
                + len(re.findall("[\x85\u2028\u2029]", content.decode("utf-8", "replace")))
            )
            for message in error.messages:
                found = re.fullmatch(rf"{re.escape(str(path))}:(\d+): .+", message)
                assert found, message
                assert 1 <= int(found[1]) <= last + 1, message
            numbers = [int(message.removeprefix(str(path)).split(":")[1]) for message in error.messages]
            assert numbers == sorted(numbers)
            return None
    assert project.nvflare_document() == yaml.safe_load(content)
    return project


def paths(value: Any, path: Location = ()) -> list[Location]:
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += paths(inner, (*path, key))
    return found


def value_at(path: Location) -> Any:
    value: Any = DOCUMENT
    for step in path:
        value = value[step]
    return copy.deepcopy(value)


PATHS = paths(DOCUMENT)[1:]
sorting = st.booleans()
exchanged = st.sampled_from(PATHS).map(value_at)


def put(document: Any, path: Location, value: Any) -> None:
    """Replace a value, unless an earlier change removed its path."""
    for step in path[:-1]:
        if not isinstance(document, dict | list) or (isinstance(document, dict) and step not in document):
            return
        if isinstance(document, list) and not (isinstance(step, int) and step < len(document)):
            return
        document = document[step]
    if isinstance(document, dict) or (
        isinstance(document, list) and isinstance(path[-1], int) and path[-1] < len(document)
    ):
        document[path[-1]] = value


def accepted_by_nvflare(project: Project) -> None:
    document = project.nvflare_document()
    prepare_builders(document)
    assert prepare_project(document).get_server().name == project.server.name


yaml_like = st.text(st.sampled_from("ab:-?[]{}&*!|>%@'\"#,<~ \n\t0.="), max_size=60)


@some
@given(st.binary(max_size=300) | yaml_like.map(str.encode))
@example(b"\xef\xbb\xbf")
@example(b"a: !!binary =")
@example(b"a: !!timestamp x")
@example(b"a: !!int x\n? !!set {a}\n: b")
@example(b'a: "\\ud800"')
def test_any_bytes_are_rejected_with_a_line(content: bytes) -> None:
    assert read(content) is None


@some
@given(st.data())
def test_a_file_with_changed_bytes_is_valid_or_rejected_with_a_line(data: st.DataObject) -> None:
    content = bytearray(VALID.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = min(len(content), start + data.draw(st.integers(0, 12)))
        content[start:end] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"\n", b": ", b"- ", b"&a ", b"*a", b"<<: "])
        )

    if project := read(bytes(content)):
        accepted_by_nvflare(project)


@some
@given(
    st.lists(st.tuples(st.sampled_from(PATHS), anything | exchanged), min_size=1, max_size=3), st.booleans()
)
def test_a_document_with_arbitrary_or_exchanged_values_is_valid_or_rejected_with_a_line(
    changes: list[tuple[Location, Any]], sort_keys: bool
) -> None:
    document = copy.deepcopy(DOCUMENT)
    for path, value in changes:
        put(document, path, value)

    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=sort_keys)
    if project := read(text.encode("utf-8", "replace")):
        accepted_by_nvflare(project)
