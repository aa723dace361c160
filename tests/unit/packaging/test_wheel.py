"""A wheel alone gives the whole command, in a folder that has nothing of the repository."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from importlib.metadata import requires
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from deploy.charts.package import CHART_NAMES, package_chart
from deploy.checkout import CHECKOUT
from deploy.images.inputs import source_digest
from deploy.tools import find_tool
from fl_app.contract import flarefleet_version
from tests.documented import commands_in
from tests.unit.packaging import prepared

Shell = Callable[[str], str]
WHEEL = f"flarefleet-{flarefleet_version()}-py3-none-any.whl"

FOLDERS = ("deploy", "docs", "fl_app", "helm", "images", "requirements")
FILES = ("LICENSE", "Makefile", "README.md", "project.yml", "pyproject.toml")
FASTER = {
    "python3 -m venv": "uv venv --quiet --offline",
    "~/.flarefleet/bin/pip install": "uv pip install -q --offline --no-deps --python ~/.flarefleet",
}
"""Programs that install without a network, in a tenth of the time."""
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FLARE"))}
    ended = subprocess.run(
        command,
        cwd=cwd,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run `make dist` in a copy of the sources, and return the folder with its files."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in FOLDERS:
        shutil.copytree(CHECKOUT / name, sources / name, symlinks=True, ignore=ignored)
    for name in FILES:
        shutil.copy(CHECKOUT / name, sources)
    run("make", "--silent", "-o", "install", "dist", f"VENV={sys.prefix}", cwd=sources)
    made = (sources / "dist").rename(folder / "dist")
    shutil.rmtree(sources)
    return made


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel as docs/install.md says; return HOME."""
    home = tmp_path_factory.mktemp("home")
    for line in lines("sha256sum", "~/"):
        for program, faster in FASTER.items():
            line = line.replace(program, faster)  # noqa: PLW2901
        run("bash", "-c", line, cwd=dist, HOME=str(home), PATH=PATH)
    # The dependencies of the environment of the tests, without its editable installation of the checkout.
    (packages,) = (home / ".flarefleet" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return home


def lines(*parts: str) -> list[str]:
    """Return the commands of docs/install.md that contain a text, except the download of tools."""
    page = commands_in(CHECKOUT / "docs" / "install.md")
    return [
        one.line for one in page if any(part in one.line for part in parts) and "deploy.tools" not in one.line
    ]


@pytest.fixture(scope="module")
def shell(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Run a line with the installed command, in a folder that has nothing of the repository."""
    folder, cache = tmp_path_factory.mktemp("empty"), {"XDG_CACHE_HOME": f"{installed}/.cache"}

    def execute(line: str) -> str:
        path = f"{installed}/.local/bin:{os.defpath}"
        return run("bash", "-c", line, cwd=folder, PATH=path, HOME=str(installed), SHELL="/bin/bash", **cache)

    for line in lines("flarefleet --version", "flarefleet init", "flarefleet check"):
        execute(line)
    execute("flarefleet provision")
    return execute


@pytest.fixture(scope="module")
def facts(shell: Shell) -> dict[str, Any]:
    """What `up` and `monitor` prepare before they start anything."""
    program = Path(prepared.__file__).read_text(encoding="utf-8")
    return dict(json.loads(shell(f"~/.flarefleet/bin/python -c {shlex.quote(program)}")))


def test_a_wheel_alone_makes_jobs_and_completion(installed: Path, shell: Shell) -> None:
    shell("flarefleet new-job mine --framework numpy")
    shell("flarefleet export ./mine exported")
    shell("test -f exported/mine/meta.json")
    for line in lines("--install-completion"):
        shell(line)
    assert (installed / ".bash_completions" / "flarefleet.sh").is_file()


def test_a_wheel_has_every_file_of_its_packages(installed: Path) -> None:
    (packages,) = (installed / ".flarefleet" / "lib").glob("python*/site-packages")
    files = [
        file.relative_to(CHECKOUT)
        for package in ("deploy", "fl_app")
        for file in (CHECKOUT / package).rglob("*.*")
        if file.is_file() and not {"__pycache__", "data"} & {*file.parts}
    ]
    assert len(files) > 400
    assert [file for file in files if not (packages / file).is_file()] == []


def test_a_wheel_alone_has_what_images_are_built_from(installed: Path, facts: dict[str, Any]) -> None:
    context = Path(facts["context"])
    assert context.is_relative_to(installed)
    dockerfile = Path(facts["dockerfile"]).read_text(encoding="utf-8")
    mounts = re.findall(r"--mount=(type=bind,\S+)", dockerfile)
    needed = {one.partition("source=")[2].partition(",")[0] for one in mounts if ",from=" not in one}
    needed |= {path for path in re.findall(r"^COPY (\S+)", dockerfile, re.MULTILINE) if path[:2] != "--"}
    needed = {path for path in needed if not path.startswith((".cache", "kit.tar"))}
    assert {"fl_app", "images/build", "pyproject.toml"} <= needed
    assert [path for path in needed if not (context / path).exists()] == []
    assert facts["base"] == "debian:bookworm-slim"
    # An image is current if its label has this digest, whether a checkout or a wheel built it.
    assert facts["digest"] == source_digest("cpu")


def test_a_wheel_alone_describes_a_federation_in_containers(facts: dict[str, Any]) -> None:
    assert yaml.safe_load(facts["compose"])["services"].keys() == {"flare-server", "site-1", "site-2"}


def test_a_wheel_alone_has_charts_that_helm_renders(
    installed: Path, shell: Shell, facts: dict[str, Any]
) -> None:
    charts = Path(facts["charts"])
    assert charts.is_relative_to(installed)
    assert facts["packages"] == {
        name: hashlib.sha256(package_chart(name)).hexdigest() for name in CHART_NAMES
    }
    for name, chart in (("flare-server", "flare-server"), ("site-1", "flare-client")):
        values = f"workspace/*/release/{name}/values.yaml"
        rendered = shell(f"{find_tool('helm')} template {name} {charts / chart} --values {values}")
        assert "kind: StatefulSet" in rendered


def test_a_wheel_alone_has_what_prometheus_and_grafana_read(facts: dict[str, Any]) -> None:
    rules = yaml.safe_load(Path(facts["rules"]).read_text(encoding="utf-8"))
    runbooks = [rule["annotations"]["runbook_url"] for group in rules["groups"] for rule in group["rules"]]
    assert len(runbooks) > 10
    assert [url for url in runbooks if not Path(urlsplit(url).path).is_file()] == []
    assert len(facts["dashboards"]) == 4
    assert f"{facts['home']}.json" in facts["dashboards"]


def test_every_other_installation_of_the_page_works(dist: Path, tmp_path: Path) -> None:
    """The dependencies, which need an index, are left out."""
    packages = {re.split(r"[^\w.-]", line)[0] for line in requires("flarefleet") or ()} | {"pip"}
    absent = tmp_path / "absent.txt"
    absent.write_text("".join(f"{name}; python_version < '3'\n" for name in sorted(packages)))
    environment = {
        "HOME": str(tmp_path),
        "PATH": PATH,
        "UV_OFFLINE": "1",
        "UV_OVERRIDE": str(absent),
        "UV_PYTHON": sys.executable,
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_COMPILE": "1",
        "PIP_TARGET": str(tmp_path / "target"),
    }
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / WHEEL).hardlink_to(dist / WHEEL)

    for line in lines("uv tool install", "pip download", "pip install --no-index"):
        run("bash", "-c", line, cwd=folder, **environment)

    assert (tmp_path / ".local" / "bin" / "flarefleet").is_file()
    assert (folder / "wheels" / WHEEL).is_file()
    assert (tmp_path / "target" / "deploy" / "data" / "images" / "Dockerfile").is_file()


def test_the_tests_run_each_command_of_the_page() -> None:
    """Except pipx, which is not in the environment of the tests, and pip with an extra, as uv has it."""
    elsewhere = {"~/.flarefleet/bin/python -m deploy.tools"}  # tests/unit/tools
    run_here = {*lines("sha256sum", "~/", "flarefleet --version", "flarefleet init", "flarefleet check")}
    run_here |= {*lines("--install-completion", "uv tool install", "pip download", "pip install --no-index")}
    page = {one.line for one in commands_in(CHECKOUT / "docs" / "install.md")}

    left = {line for line in page - run_here - elsewhere if not line.startswith("pipx ")}

    assert left == {f"pip install './{WHEEL}[jobs]'"}


INDEX = re.compile(r"pip install [^\n]*flarefleet\[")
TEXTS = [
    CHECKOUT / "README.md",
    *(file for folder in ("deploy", "docs", "fl_app", "helm") for file in (CHECKOUT / folder).rglob("*.*")),
]


def test_no_page_or_message_installs_flarefleet_from_an_index() -> None:
    kinds = (".j2", ".md", ".py", ".tpl", ".txt", ".yaml")
    texts = [file for file in TEXTS if file.suffix in kinds and "data" not in file.parts]
    found = [str(file) for file in texts if INDEX.search(file.read_text(encoding="utf-8"))]

    assert found == []
    assert len(texts) > 400
