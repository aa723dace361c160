"""Whatever is in the file: a project, or mistakes that each have a line. Nothing else, ever."""

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

from .valid import RIGHT

some = settings(
    max_examples=int(os.environ.get("EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)

DOCUMENT = yaml.safe_load(RIGHT)
WORDS = sorted(set(re.findall(r"[\w.@-]+", RIGHT)))

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
    """The project, or None once each mistake was seen to have its line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "project.yml"
        path.write_bytes(content)
        try:
            project = load_project(path)
        except InputError as refused:
            assert refused.messages
            last = (
                content.count(b"\n")
                + content.count(b"\r")
                + len(re.findall("[\x85\u2028\u2029]", content.decode("utf-8", "replace")))
            )
            for message in refused.messages:
                found = re.fullmatch(rf"{re.escape(str(path))}:(\d+): .+", message)
                assert found, message
                assert 1 <= int(found[1]) <= last + 1, message
            numbers = [int(message.removeprefix(str(path)).split(":")[1]) for message in refused.messages]
            assert numbers == sorted(numbers)
            return None
    assert project.document == yaml.safe_load(content)
    return project


def places(value: Any, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to every value in a document."""
    found = [way]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*way, key))
    return found


PLACES = places(DOCUMENT)[1:]


def put(document: Any, way: tuple[str | int, ...], value: Any) -> None:
    """Replace a value, where earlier changes left its place in being."""
    for step in way[:-1]:
        if not isinstance(document, dict | list) or (isinstance(document, dict) and step not in document):
            return
        if isinstance(document, list) and not (isinstance(step, int) and step < len(document)):
            return
        document = document[step]
    if isinstance(document, dict) or (
        isinstance(document, list) and isinstance(way[-1], int) and way[-1] < len(document)
    ):
        document[way[-1]] = value


def accepted_by_nvflare(project: Project) -> None:
    document = copy.deepcopy(project.document)
    prepare_builders(document)
    assert prepare_project(document).get_server().name == project.server.name


@some
@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbf")
@example(b"a: !!binary =")
@example(b"a: !!timestamp x")
@example(b"a: !!int x\n? !!set {a}\n: b")
@example(b'a: "\\ud800"')
def test_any_bytes_are_refused_with_a_line(content: bytes) -> None:
    assert read(content) is None


@some
@given(st.text(st.sampled_from("ab:-?[]{}&*!|>%@'\"#,<~ \n\t0.="), max_size=60))
def test_any_yaml_is_refused_with_a_line(content: str) -> None:
    assert read(content.encode()) is None


@some
@given(st.data())
def test_a_right_file_with_bytes_changed_is_a_project_or_refused_with_a_line(data: st.DataObject) -> None:
    content = bytearray(RIGHT.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = min(len(content), start + data.draw(st.integers(0, 12)))
        content[start:end] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"\n", b": ", b"- ", b"&a ", b"*a", b"<<: "])
        )

    if project := read(bytes(content)):
        accepted_by_nvflare(project)


@some
@given(st.lists(st.tuples(st.sampled_from(PLACES), anything), min_size=1, max_size=3))
def test_a_right_document_with_anything_in_it_is_a_project_or_refused_with_a_line(
    changes: list[tuple[tuple[str | int, ...], Any]],
) -> None:
    document = copy.deepcopy(DOCUMENT)
    for way, value in changes:
        put(document, way, value)

    if project := read(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "replace")):
        accepted_by_nvflare(project)


@some
@given(st.sampled_from(PLACES), st.sampled_from(PLACES), st.data())
def test_values_in_each_others_places_are_a_project_or_refused_with_a_line(
    first: tuple[str | int, ...], second: tuple[str | int, ...], data: st.DataObject
) -> None:
    document = copy.deepcopy(DOCUMENT)
    value: Any = document
    for step in first:
        value = value[step]
    put(document, second, copy.deepcopy(value))

    if project := read(yaml.safe_dump(document, sort_keys=data.draw(st.booleans())).encode()):
        accepted_by_nvflare(project)
