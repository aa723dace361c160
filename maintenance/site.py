"""Hooks of MkDocs: files of the repository outside docs/ that a page links to become pages of the site."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = PurePosixPath("docs")
ELSEWHERE = PurePosixPath("repository")
"""Folder of the site with the pages for files outside docs/."""
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?(\))")
LANGUAGES = {".py": "python", ".yml": "yaml", ".yaml": "yaml", ".json": "json", ".toml": "toml"}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add a page for each file and folder outside docs/ that a page links to, directly or not."""
    waiting = [DOCS / file.src_uri for file in files.documentation_pages()]
    seen = set(waiting)
    while waiting:
        source = waiting.pop()
        for target in _targets(source):
            if target not in seen and DOCS not in target.parents and (ROOT / target).exists():
                seen.add(target)
                files.append(File.generated(config, str(_page(target)), content=_content(target)))
                if target.suffix == ".md":
                    waiting.append(target)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to files outside docs/ to their pages in the site."""
    source = _source(PurePosixPath(page.file.src_uri))

    def moved(found: re.Match[str]) -> str:
        before, link, anchor, after = found.groups()
        target = _resolve(source, link)
        if DOCS not in source.parents or DOCS not in target.parents:
            link = os.path.relpath(_page(target), PurePosixPath(page.file.src_uri).parent)
        return f"{before}{link}{anchor or ''}{after}"

    return LINK.sub(moved, markdown)


def _targets(source: PurePosixPath) -> list[PurePosixPath]:
    text = (ROOT / source).read_text(encoding="utf-8")
    return [_resolve(source, link) for _, link, _, _ in LINK.findall(text)]


def _resolve(source: PurePosixPath, link: str) -> PurePosixPath:
    """Return the path in the repository to which a link in a file leads."""
    path = PurePosixPath(os.path.normpath(source.parent / link))
    return path / "README.md" if (ROOT / path / "README.md").is_file() else path


def _page(target: PurePosixPath) -> PurePosixPath:
    """Return the source file of a path of the repository in the site."""
    if DOCS in target.parents:
        return target.relative_to(DOCS)
    if target.suffix in (".md", ".png", ".svg"):
        return ELSEWHERE / target
    return ELSEWHERE / f"{target}.md"


def _source(page: PurePosixPath) -> PurePosixPath:
    """Return the path in the repository of a page of the site."""
    if ELSEWHERE in page.parents:
        return page.relative_to(ELSEWHERE)
    return DOCS / page


def _content(target: PurePosixPath) -> str | bytes:
    file = ROOT / target
    if file.is_dir():
        names = sorted(entry.name for entry in file.iterdir() if not entry.name.startswith(("_", ".")))
        return f"# {target}\n\n" + "".join(f"- `{name}`\n" for name in names)
    if target.suffix in (".md", ".png", ".svg"):
        return file.read_bytes() if target.suffix == ".png" else file.read_text(encoding="utf-8")
    language = LANGUAGES.get(target.suffix, "")
    return f"# {target}\n\n````{language}\n{file.read_text(encoding='utf-8')}\n````\n"
