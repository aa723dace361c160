"""A project.yml that is right, and ways to make it wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from deploy.errors import InputError
from deploy.project import Project, load_project

RIGHT = """\
api_version: 3
name: consortium
description: A federation

participants:
  - name: flare.example.org
    type: server
    org: consortium
    fed_learn_port: 8002
    host_names: [flare.internal.example.org]
  - name: site-1
    type: client
    org: hospital_1
  - name: site-2
    type: client
    org: hospital_2
  - name: admin@example.org
    type: admin
    org: consortium
    role: project_admin

builders:
  - path: nvflare.lighter.impl.workspace.WorkspaceBuilder
    args: {template_file: [master_template.yml]}
  - path: nvflare.lighter.impl.static_file.StaticFileBuilder
    args:
      config_folder: config
      scheme: grpc
  - path: nvflare.lighter.impl.cert.CertBuilder
  - path: nvflare.lighter.impl.signature.SignatureBuilder

deployment:
  image: {registry: registry.example.org/flare, tag: "1.0.0", variant: gpu}
  defaults: {launcher: process, storage: 20Gi}
  sites:
    site-1:
      gpus: 1
      storage: 200Gi
      namespace: flare-site-1
      datasets: {training: {claim: site-1-data, mode: ro}}
"""


def changed(old: str, new: str) -> str:
    """The right file with one piece of it replaced."""
    assert RIGHT.count(old) == 1, f"{old!r} must stand in the file exactly once"
    return RIGHT.replace(old, new)


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "project.yml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def load(folder: Path, content: str | bytes) -> Project:
    return load_project(write(folder, content))


def mistakes(folder: Path, content: str | bytes) -> list[str]:
    """The messages on a file that is wrong, each without the folder it lies in."""
    with pytest.raises(InputError) as refused:
        load(folder, content)
    messages = [message.removeprefix(f"{folder}/") for message in refused.value.messages]
    for message in messages:
        assert re.match(r"project\.yml:[1-9]\d*: \S", message), message
        assert "\n" not in message, message
    return messages


def row(old: str, new: str, key: str, *words: str) -> ParameterSet:
    """`old` of the right file becomes `new`, whose line `# HERE` is the one that the message must name."""
    return pytest.param(old, new, key, words, id=f"{key}: {new.strip().splitlines()[0][:40]}")


def assert_named(folder: Path, old: str, new: str, key: str, words: tuple[str, ...]) -> None:
    """The mistake of a row has one message, at its line, under its key, with all of its words."""
    content = changed(old, new)
    said = mistakes(folder, content)
    begin = f"project.yml:{marked_line(content)}: {key}: " if key else f"project.yml:{marked_line(content)}: "
    about = [message for message in said if message.startswith(begin)]
    assert len(about) == 1, said
    assert all(word in about[0] for word in words), about[0]


def marked_line(content: str) -> int:
    """The line that a test marked with `# HERE`."""
    lines = [number for number, line in enumerate(content.splitlines(), 1) if line.endswith("# HERE")]
    assert len(lines) == 1, "mark exactly one line"
    return lines[0]
