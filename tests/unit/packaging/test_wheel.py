"""A wheel alone gives the whole command, in a folder that has nothing of the repository."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from deploy.charts.package import package_chart
from deploy.checkout import CHECKOUT
from deploy.images.inputs import source_digest

FOLDERS = ("deploy", "docs", "fl_app", "helm", "images", "requirements")
FILES = ("LICENSE", "README.md", "project.yml", "pyproject.toml")
UV = str(Path(sys.executable).with_name("uv"))
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
    """Build a wheel and install it in a new environment; return the environment's folder bin."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in FOLDERS:
        shutil.copytree(CHECKOUT / name, sources / name, symlinks=True, ignore=ignored)
    for name in FILES:
        shutil.copy(CHECKOUT / name, sources)
    build = (UV, "build", "--quiet", "--offline", "--no-build-isolation", "--python", sys.executable)
    run(*build, "--out-dir", folder / "dist", sources, cwd=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    shutil.rmtree(sources)
    run(UV, "venv", "--quiet", "--offline", "--python", sys.executable, folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel, cwd=folder)
    # The dependencies of the environment of the tests, without its editable installation of the checkout.
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python.parent


def test_a_wheel_alone_makes_a_federation_and_jobs_and_finds_charts_and_images(
    installed: Path, tmp_path: Path
) -> None:
    folder, cache = tmp_path / "empty", tmp_path / "cache"
    folder.mkdir()

    def flarefleet(*arguments: str) -> str:
        return run(installed / "flarefleet", *arguments, cwd=folder, XDG_CACHE_HOME=str(cache))

    flarefleet("init", "--name", "pilot", "--server", "localhost", "--site", "site-1", "--admin", "a@b.org")
    flarefleet("check")
    flarefleet("provision")
    assert (folder / "workspace" / "pilot" / "release" / "site-1" / "values.yaml").is_file()
    flarefleet("new-job", "mine", "--framework", "numpy")
    flarefleet("export", "./mine", "exported")
    assert (folder / "exported" / "mine" / "meta.json").is_file()

    facts = json.loads(run(installed / "python", "-c", FACTS, cwd=folder, XDG_CACHE_HOME=str(cache)))
    assert Path(facts["charts"]).is_relative_to(installed.parent)
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
