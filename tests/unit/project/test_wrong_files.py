from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deploy.errors import InputError
from deploy.project import load_project

from .valid import RIGHT, assert_named, changed, mistakes, row

WHOLE = [
    row("participants:\n", "partcipants:  # HERE\n", "partcipants", "did you mean participants?"),
    row("api_version: 3", "api_version: 2  # HERE", "api_version", "must be 3 or 4, not 2"),
    row("api_version: 3", "api_version: yes  # HERE", "api_version", "whole number"),
    row("api_version: 3", 'api_version: "3"  # HERE', "api_version", "whole number, not '3'"),
    row("api_version: 3\n", "apiversion: 3  # HERE\n", "apiversion", "did you mean api_version?"),
    row("name: consortium", "name: my federation  # HERE", "name", "my-federation would do"),
    row("name: consortium", "name: ../up  # HERE", "name", "up would do"),
    row("name: consortium", f"name: {'a' * 64}  # HERE", "name", "at most 63"),
    row("name: consortium", "name: 7  # HERE", "name", 'write "7"'),
    row("name: consortium", "name:  # HERE", "name", "must be text, not empty"),
    row("description: A federation", "description: [a]  # HERE", "description", "must be text"),
    row("description: A federation", "edge: {depth: 2}  # HERE", "edge", "no edge federation"),
    row("description: A federation", "packager: {path: a.b}  # HERE", "packager", "its own release"),
    row("description: A federation", "include: other.yml  # HERE", "include", "write what that file holds"),
    row("description: A federation", "descripton: A  # HERE", "descripton", "did you mean description?"),
    row(
        "description: A federation", "connection_security: none  # HERE", "connection_security", "mtls or tls"
    ),
    row(
        "description: A federation",
        "description: a\ndescription: b  # HERE",
        "description",
        "first in line 3",
    ),
    row("description: A federation", "5: a  # HERE", "", "a key must be text, not '5'; put it in quotes"),
    row("description: A federation", "on: a  # HERE", "", "a key must be text, not 'on'"),
    row(
        "description: A federation",
        "description: !!python/name:os.system x  # HERE",
        "description",
        "YAML tag",
    ),
    row("description: A federation", "description: !secret x  # HERE", "description", "YAML tag '!secret'"),
    row("description: A federation", "description: 2024-13-45  # HERE", "description", "put it in quotes"),
    row("description: A federation", "studies: {a: {}}  # HERE", "studies", "needs api_version: 4"),
]

STUDIES = [
    row(
        "api_version: 3",
        "api_version: 4\nstudies: {default: {}}  # HERE",
        "studies.default",
        "choose another",
    ),
    row("api_version: 3", "api_version: 4\nstudies: {Cancer: {}}  # HERE", "studies.Cancer", "lower-case"),
    row(
        "api_version: 3",
        "api_version: 4\nstudies: {a: {admin: []}}  # HERE",
        "studies.a.admin",
        "did you mean admins?",
    ),
    row(
        "api_version: 3",
        "api_version: 4\nstudies: {a: {admins: [admin@example.com]}}  # HERE",
        "studies.a.admins[0]",
        "did you mean admin@example.org?",
    ),
    row(
        "api_version: 3",
        "api_version: 4\nstudies: {a: {site_orgs: {hospital_1: [site-2]}}}  # HERE",
        "studies.a.site_orgs.hospital_1[0]",
        "is of the organization hospital_2",
    ),
    row(
        "api_version: 3",
        "api_version: 4\nstudies: {a: {site_orgs: {hospital1: []}}}  # HERE",
        "studies.a.site_orgs.hospital1",
        "did you mean hospital_1?",
    ),
    row(
        "api_version: 3",
        "api_version: 4\nstudies: {a: {site_orgs: {hospital_1: [site_1]}}}  # HERE",
        "studies.a.site_orgs.hospital_1[0]",
        "did you mean site-1?",
    ),
    row(
        "api_version: 3",
        "api_version: 4\nstudies: {a: {site_orgs: {hospital_1: [site-1, site-1]}}}  # HERE",
        "studies.a.site_orgs.hospital_1[1]",
        "twice",
    ),
    row("api_version: 3", "api_version: 4\nstudies: [a]  # HERE", "studies", "must be a mapping"),
]

BUILDERS = [
    row(
        "cert.CertBuilder",
        "cert.CertBuidler  # HERE",
        "builders[2].path",
        "did you mean nvflare.lighter.impl.cert.CertBuilder?",
    ),
    row(
        "  - path: nvflare.lighter.impl.cert.CertBuilder",
        "  - path: own.nothing.Builder  # HERE",
        "builders[2].path",
        "there is no class 'own.nothing.Builder'",
    ),
    row(
        "  - path: nvflare.lighter.impl.cert.CertBuilder",
        "  - path: no path  # HERE",
        "builders[2].path",
        "there is no class",
    ),
    row(
        "  - path: nvflare.lighter.impl.cert.CertBuilder",
        "  - path: 5  # HERE",
        "builders[2].path",
        "must be text",
    ),
    row(
        "  - path: nvflare.lighter.impl.cert.CertBuilder",
        "  - pth: a.B  # HERE",
        "builders[2].pth",
        "did you mean path?",
    ),
    row(
        "CertBuilder",
        "CertBuilder\n  - path: nvflare.lighter.impl.he.HEBuilder  # HERE",
        "builders[3].path",
        "homomorphic",
    ),
    row(
        "CertBuilder",
        "CertBuilder\n  - path: nvflare.lighter.impl.edge.EdgeBuilder  # HERE",
        "builders[3].path",
        "edge",
    ),
    row(
        "CertBuilder",
        "CertBuilder\n  - path: nvflare.lighter.cc_provision.impl.cc.CCBuilder  # HERE",
        "builders[3].path",
        "confidential",
    ),
    row(
        "CertBuilder",
        "CertBuilder\n    args: {root_valid_day: 9}  # HERE",
        "builders[2].args.root_valid_day",
        "did you mean root_valid_days?",
    ),
    row(
        "CertBuilder",
        "CertBuilder\n    args: {root_valid_days: 0}  # HERE",
        "builders[2].args.root_valid_days",
        "1 or more, not 0",
    ),
    row(
        "CertBuilder",
        "CertBuilder\n    args: {root_valid_days: true}  # HERE",
        "builders[2].args.root_valid_days",
        "whole number",
    ),
    row(
        "SignatureBuilder",
        "SignatureBuilder\n    args: {key: 9}  # HERE",
        "builders[3].args.key",
        "SignatureBuilder takes none",
    ),
    row(
        "SignatureBuilder", "SignatureBuilder\n    args: [a]  # HERE", "builders[3].args", "must be a mapping"
    ),
    row(
        "config_folder: config",
        "config_foldr: config  # HERE",
        "builders[1].args.config_foldr",
        "did you mean config_folder?",
    ),
    row("scheme: grpc", "scheme: gprc  # HERE", "builders[1].args.scheme", "did you mean grpc?"),
    row("scheme: grpc", "docker_image: 5  # HERE", "builders[1].args.docker_image", 'write "5"'),
    row("scheme: grpc", "scheme: 5  # HERE", "builders[1].args.scheme", "grpc or tcp or http"),
    row(
        "scheme: grpc",
        "require_signed_jobs: 1  # HERE",
        "builders[1].args.require_signed_jobs",
        "true or false",
    ),
    row(
        "{template_file: [master_template.yml]}",
        "{template_file: [master.yml]}  # HERE",
        "builders[0].args.template_file[0]",
        "did you mean master_template.yml?",
    ),
    row(
        "  - path: nvflare.lighter.impl.signature.SignatureBuilder",
        "  - 5  # HERE",
        "builders[3]",
        "must be a mapping",
    ),
]


@pytest.mark.parametrize(("old", "new", "key", "words"), WHOLE + STUDIES + BUILDERS)
def test_a_mistake_is_named_with_its_line_its_key_and_the_way_out(
    old: str, new: str, key: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    assert_named(tmp_path, old, new, key, words)


def test_all_mistakes_are_reported_at_once_sorted_by_line(tmp_path: Path) -> None:
    content = (
        RIGHT.replace("api_version: 3", "api_version: 5")
        .replace("fed_learn_port", "fed_learn_prot")
        .replace("name: site-2", "name: Site_2")
        .replace("role: project_admin", "role: boss")
        .replace("cert.CertBuilder", "cert.CertBuilders")
        .replace("scheme: grpc", "shceme: grpc")
        .replace("gpus: 1", "gpus: -1")
        + "    site-9: {}\ndeployments: {}\n"
    )

    said = mistakes(tmp_path, content)

    assert [int(message.split(":")[1]) for message in said] == [1, 9, 14, 20, 28, 29, 37, 41, 42]


@pytest.mark.parametrize("missing", ["WorkspaceBuilder", "StaticFileBuilder", "CertBuilder"])
def test_a_builder_that_kits_need_is_missed(missing: str, tmp_path: Path) -> None:
    document = yaml.safe_load(RIGHT)
    document["builders"] = [entry for entry in document["builders"] if missing not in entry["path"]]

    said = mistakes(tmp_path, yaml.safe_dump(document))

    assert len(said) == 1
    assert f"{missing} is missing" in said[0]


@pytest.mark.parametrize("key", ["api_version", "name", "participants", "builders"])
def test_a_part_that_nvflare_needs_is_missed(key: str, tmp_path: Path) -> None:
    document = yaml.safe_load(RIGHT)
    del document[key]

    assert any(
        message.startswith(f"project.yml:1: {key}: missing; write ")
        for message in mistakes(tmp_path, yaml.safe_dump(document))
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "1: the file is empty", id="empty"),
        pytest.param(b"# nothing\n", "1: the file is empty", id="comments alone"),
        pytest.param(b"---\n...\n", "the file is empty", id="an empty document"),
        pytest.param(b"- a\n", "1: the file must be a mapping", id="a list"),
        pytest.param(b"\nhello\n", "2: the file must be a mapping", id="a word"),
        pytest.param(b"a: b\n\x00\n", "2: character 0x00 does not belong", id="a null byte"),
        pytest.param(b"\x7fELF\x02\x01\x01\x00", "1: character 0x7f", id="a program"),
        pytest.param(b"a: b\nc: \xff\xfe\n", "2: byte 0xff is not UTF-8", id="not UTF-8"),
        pytest.param("a: b".encode("utf-16"), "1: byte 0xff is not UTF-8", id="UTF-16"),
        pytest.param(b"a: b\nb:\n\t- c\n", "3: this is no YAML", id="a tab"),
        pytest.param(b"a: b\nb: [c\n", "this is no YAML", id="an open bracket"),
        pytest.param(b"a: *b\n", "1: this is no YAML: found undefined alias", id="an alias to nothing"),
        pytest.param(b"a: b\n---\na: c\n", "2: this is no YAML", id="two documents"),
        pytest.param(b"a: &a [*a]\n", "1: alias *a stands within what it names", id="an alias without end"),
        pytest.param(b"a: &a\n  <<: *a\n", "2: alias *a stands within", id="a merge without end"),
        pytest.param(b"a: 1\nb: {<<: 5}\n", "2: this is no YAML", id="a merge of no mapping"),
        pytest.param(b"[" * 100_000, "more than 40 levels", id="depth"),
        pytest.param(b"a: " + b"{a: " * 50_000, "more than 40 levels", id="depth of mappings"),
        pytest.param(b"- " * 50_000, "more than 40 levels", id="depth of block lists"),
        pytest.param(b"a: 1\n" * 500_000, "larger than 2 MiB", id="size"),
        pytest.param(b"a: [" + b"1," * 410_000 + b"]", "more than 400000 values", id="number"),
    ],
)
def test_a_file_that_is_no_project_is_refused_with_a_line(content: bytes, words: str, tmp_path: Path) -> None:
    said = mistakes(tmp_path, content)

    assert len(said) == 1
    assert words in said[0]


@pytest.mark.parametrize(
    "into", ["[{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}]", "{{<<: [{0}, {0}, {0}, {0}, {0}]}}"]
)
def test_aliases_that_multiply_are_refused_before_they_do(into: str, tmp_path: Path) -> None:
    levels = [f"x-{n}: &x{n} {into.format(f'*x{n - 1}')}" for n in range(1, 30)]

    said = mistakes(tmp_path, "\n".join(["x-0: &x0 {a: b}", *levels]) + "\n" + RIGHT)

    assert any("more than" in message for message in said)


@pytest.mark.parametrize(
    "number", ["9" * 5000, "0x" + "f" * 5000, "0b2", "1" + ":59" * 2000, "9223372036854775808"]
)
def test_a_number_that_python_could_not_take_is_a_mistake_of_the_file(number: str, tmp_path: Path) -> None:
    said = mistakes(tmp_path, changed("fed_learn_port: 8002", f"fed_learn_port: {number}"))

    assert said[0].startswith("project.yml:9: participants[0].fed_learn_port: ")


def test_a_file_that_is_not_there_or_no_file_says_what_to_do(tmp_path: Path) -> None:
    for path in (tmp_path / "project.yml", tmp_path, tmp_path / ("a" * 300)):
        with pytest.raises(InputError, match=r"--project FILE|cannot be read"):
            load_project(path)
