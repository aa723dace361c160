"""The pages build as a site without a warning; links and anchors are checked."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.skipping import skip_or_fail_in_ci

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


def build(target: Path, *options: str) -> subprocess.CompletedProcess[str]:
    if find_spec("mkdocs") is None:
        skip_or_fail_in_ci("mkdocs is missing: make install")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--site-dir",
        str(target),
        *options,
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    answer = build(tmp_path)

    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "index.html").is_file()


@pytest.mark.parametrize("link", ["missing.md", "other.md#missing"])
def test_a_broken_link_fails_the_build(tmp_path: Path, link: str) -> None:
    pages = tmp_path / "docs"
    pages.mkdir()
    (pages / "README.md").write_text(f"# Start\n\n[broken]({link})\n")
    (pages / "other.md").write_text("# Other\n")
    settings = (ROOT / "mkdocs.yml").read_text().replace("docs_dir: docs", f"docs_dir: {pages}")
    settings = settings[: settings.index("hooks:")] + settings[settings.index("exclude_docs:") :]
    (tmp_path / "mkdocs.yml").write_text(settings[: settings.index("nav:")])

    answer = build(tmp_path / "site", "--config-file", str(tmp_path / "mkdocs.yml"))

    assert answer.returncode != 0
    assert link.partition("#")[0] in answer.stderr


def test_every_page_is_in_the_navigation() -> None:
    settings = (ROOT / "mkdocs.yml").read_text()
    listed = set(re.findall(r"[\w/.-]+\.md", settings[settings.index("nav:") :]))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}

    assert pages <= listed
