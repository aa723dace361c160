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
from pathlib import Path

import pytest

from deploy.charts.package import package_chart
from deploy.checkout import CHECKOUT
from deploy.images.inputs import source_digest
from tests.documented import commands_in

FOLDERS = ("deploy", "docs", "fl_app", "helm", "images", "requirements")
FILES = ("LICENSE", "Makefile", "README.md", "project.yml", "pyproject.toml")
FASTER = {
    "python3 -m venv": "uv venv --quiet --offline",
    "~/.flarefleet/bin/pip install": "uv pip install -q --offline --no-deps --python ~/.flarefleet",
}
"""Programs that install without a network, in a tenth of the time."""
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
FACTS = """
import hashlib
import json
from deploy.charts.package import package_chart
from deploy.checkout import CHARTS, RUNBOOKS
from deploy.images.build import default_base_image
from deploy.images.inputs import build_context, source_digest
print(json.dumps({
    "charts": str(CHARTS),
    "chart": hashlib.sha256(package_chart("flare-server")).hexdigest(),
    "runbooks": (RUNBOOKS / "JobFailed.md").is_file(),
    "base": default_base_image(),
    "context": str(build_context()),
    "digest": source_digest("cpu"),
}))
"""


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
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run `make dist` in a copy of the sources and install the wheel as docs/install.md says; return HOME."""
    folder = tmp_path_factory.mktemp("wheel")
    sources, home = folder / "sources", folder / "home"
    home.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in FOLDERS:
        shutil.copytree(CHECKOUT / name, sources / name, symlinks=True, ignore=ignored)
    for name in FILES:
        shutil.copy(CHECKOUT / name, sources)
    run("make", "--silent", "-o", "install", "dist", f"VENV={sys.prefix}", cwd=sources)
    dist = (sources / "dist").rename(folder / "dist")
    shutil.rmtree(sources)
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


def test_a_wheel_alone_makes_a_federation_and_jobs_and_finds_charts_and_images(
    installed: Path, tmp_path: Path
) -> None:
    folder, cache = tmp_path / "empty", tmp_path / "cache"
    folder.mkdir()

    def shell(line: str) -> str:
        path = f"{installed}/.local/bin:{os.defpath}"
        return run("bash", "-c", line, cwd=folder, PATH=path, HOME=str(installed), XDG_CACHE_HOME=str(cache))

    for line in lines("flarefleet --version", "flarefleet init", "flarefleet check"):
        shell(line)
    shell("flarefleet provision")
    assert (folder / "workspace" / "empty" / "release" / "site-1" / "values.yaml").is_file()
    shell("flarefleet new-job mine --framework numpy")
    shell("flarefleet export ./mine exported")
    assert (folder / "exported" / "mine" / "meta.json").is_file()

    facts = json.loads(shell(f"~/.flarefleet/bin/python -c {shlex.quote(FACTS)}"))
    assert Path(facts["charts"]).is_relative_to(installed)
    assert facts["chart"] == hashlib.sha256(package_chart("flare-server")).hexdigest()
    assert facts["runbooks"]
    assert facts["base"] == "debian:bookworm-slim"
    context = Path(facts["context"])
    assert context.is_relative_to(cache)
    assert {"fl_app", "images", "requirements", "pyproject.toml", "LICENSE"} <= {
        file.name for file in context.iterdir()
    }
    assert (context / "images" / "build" / "install.sh").is_file()
    # An image is current if its label has this digest, whether a checkout or a wheel built it.
    assert facts["digest"] == source_digest("cpu")


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
