"""`flarefleet init` and `export-project`: a new project.yml, and a file for NVFlare's own provisioner."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.cli.output import err
from deploy.errors import InputError
from deploy.project import load_project
from deploy.project.creation import Answers, create_project, project_text, read_server

from .project_file import WITHOUT_DEPLOYMENT, load

OPTIONS = (
    *("--server", "flare.example.org:8443", "--site", "hospital-1", "--site", "no"),
    *("--admin", "admin@example.org", "--admin", "a@b.org"),
)
BIN = Path(sys.executable).parent


def flarefleet(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    if isinstance(done.exception, InputError):
        return done.exception.exit_code, str(done.exception)
    return done.exit_code, done.output


def test_init_writes_a_valid_file_of_about_twenty_lines_and_its_schema(tmp_path: Path) -> None:
    file = tmp_path / "cancer" / "project.yml"

    status, _ = flarefleet("--project", file, "init", *OPTIONS)

    assert status == 0
    project = load_project(file)
    assert (project.name, project.server_host, project.server.fed_learn_port) == (
        "cancer",
        "flare.example.org",
        8443,
    )
    assert [site.name for site in project.sites] == ["hospital-1", "no"]
    assert [(admin.name, admin.role) for admin in project.admins] == [
        ("admin@example.org", "project_admin"),
        ("a@b.org", "lead"),
    ]
    lines = file.read_text().splitlines()
    assert len(lines) < 25
    assert lines[0] == "# yaml-language-server: $schema=project.schema.json"
    assert (file.parent / "project.schema.json").is_file()


def test_init_never_overwrites_a_file(tmp_path: Path) -> None:
    file = tmp_path / "project.yml"
    file.write_text("mine")

    status, output = flarefleet("--project", file, "init", *OPTIONS)

    assert (status, output) == (2, f"{file}: already exists; choose another file: --output FILE")
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hospital-1": "Hospital_1"}, "--site Hospital_1: must be valid in Kubernetes"),
        ({"no": "hospital-1"}, "'hospital-1' is also the name of participants[1]"),
        ({"a@b.org": "boss"}, "--admin boss: must be an e-mail address, such as boss@example.org"),
        ({"flare.example.org:8443": "a:b"}, "--server a:b: must be HOST or HOST:PORT"),
        ({"flare.example.org:8443": "a:70000"}, "--server a:70000: must be HOST or HOST:PORT"),
        ({"flare.example.org:8443": "a:9464"}, "9464 is reserved for telemetry"),
        (
            {"--server": "--name", "flare.example.org:8443": "x"},
            "--server: missing, and there is no",
        ),
    ],
)
def test_init_rejects_invalid_answers_and_writes_nothing(
    tmp_path: Path, changed: dict[str, str], message: str
) -> None:
    file = tmp_path / "project.yml"

    status, output = flarefleet("--project", file, "init", *(changed.get(word, word) for word in OPTIONS))

    assert status == 2
    assert message in output
    assert list(tmp_path.iterdir()) == []


def test_init_reports_every_invalid_answer_at_once(tmp_path: Path) -> None:
    sites, admins = ("--site", "A_B", "--site", "C_D"), ("--admin", "boss")
    options = ("--server", "a:b", *sites, *admins, "--name", "-")

    status, output = flarefleet("--project", tmp_path / "project.yml", "init", *options)

    assert status == 2
    starts = ["--server a:b: ", "--name -: ", "--site A_B: ", "--site C_D: ", "--admin boss: "]
    assert [line[: len(start)] for line, start in zip(output.splitlines(), starts, strict=True)] == starts


def test_init_asks_in_a_terminal_again_until_an_answer_is_valid(tmp_path: Path) -> None:
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [BIN / "flarefleet", "init", "--server", "localhost"], cwd=tmp_path, stdin=inside
    )
    os.write(terminal, b"pilot\nSite_1\nnorth, south\n\n")

    assert process.wait(60) == 0
    project = load_project(tmp_path / "project.yml")
    assert (project.name, [site.name for site in project.sites]) == ("pilot", ["north", "south"])
    assert [admin.name for admin in project.admins] == ["admin@example.org"]


def test_a_message_that_quotes_a_value_with_colons_is_printed_as_it_is() -> None:
    with err.capture() as captured:  # rich would print a pictograph for :b:
        err.print("--server a:b: must be HOST", style="red")
    assert captured.get() == "--server a:b: must be HOST\n"


@settings(max_examples=30)
@given(
    name=st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True),
    site=st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True),
    admin=st.from_regex(r"[A-Za-z0-9._%+-]{1,10}@[a-z]{1,5}\.[a-z]{2,5}", fullmatch=True),
)
def test_every_valid_name_stays_a_text(name: str, site: str, admin: str) -> None:
    document = yaml.safe_load(project_text(Answers(name, "1.2", 8002, (site,), (admin,))))

    assert document["name"] == name
    server, client, user = document["participants"]
    assert (server["default_host"], client["name"], user["name"]) == ("1.2", site, admin)


def test_a_server_without_a_port_has_the_default_port() -> None:
    assert read_server("flare.example.org") == ("flare.example.org", 8002)


def test_builders_are_optional_and_the_kits_of_a_file_without_them_do_not_change(tmp_path: Path) -> None:
    from deploy.provision.content import kit_specs

    file = tmp_path / "project.yml"
    create_project(Answers("a", "localhost", 8002, ("site-1",), ("a@b.org",)), file)
    short = load_project(file)
    complete = load_project(_exported(file, tmp_path / "complete.yml"))

    assert "builders" not in yaml.safe_load(file.read_text())
    assert len(complete.builders) == 4
    assert {name: kit.parts["builders"] for name, kit in kit_specs(short).items()} == {
        name: kit.parts["builders"] for name, kit in kit_specs(complete).items()
    }


def test_stock_nvflare_provisions_what_export_project_writes(tmp_path: Path) -> None:
    file = tmp_path / "project.yml"
    assert flarefleet("--project", file, "init", *OPTIONS)[0] == 0
    exported = _exported(file, tmp_path / "nvflare.yml")

    assert set(yaml.safe_load(exported.read_text())) == {"api_version", "name", "participants", "builders"}
    done = subprocess.run(
        [BIN / "nvflare", "provision", "-p", exported, "-w", tmp_path / "out"],
        input="", text=True, capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    kits = {kit.name for kit in tmp_path.glob("out/*/prod_00/*") if (kit / "startup").is_dir()}
    assert kits == {"flare-server", "hospital-1", "no", "admin@example.org", "a@b.org"}, (
        done.stdout + done.stderr
    )


def test_init_for_nvflare_writes_the_same_builders(tmp_path: Path) -> None:
    file = tmp_path / "project.yml"
    assert flarefleet("--project", file, "init", "--nvflare", *OPTIONS)[0] == 0

    written, exported = (
        yaml.safe_load(file.read_text()),
        yaml.safe_load(_exported(file, tmp_path / "b.yml").read_text()),
    )
    assert written["builders"] == exported["builders"]


def test_a_project_without_builders_keeps_nvflares_default_scheme(tmp_path: Path) -> None:
    start = WITHOUT_DEPLOYMENT[: WITHOUT_DEPLOYMENT.index("builders:")]
    assert load(tmp_path, start).scheme == "http"


def _exported(file: Path, target: Path) -> Path:
    status, output = flarefleet("--project", file, "export-project", target)
    assert status == 0, output
    return target
