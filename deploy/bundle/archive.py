"""Collect redacted files and write them to one archive."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.bundle.redaction import Redaction
from deploy.errors import Failed, FlarefleetError, InputError
from fl_app.files import PRIVATE_FILE, write_atomically

README = """\
A support bundle of Flarefleet: {title}, {created}.

Every text passed through a redaction: private keys, tokens, passwords, credentials of trackers and user info
in URLs are replaced by [redacted]. The bundle contains names of sites, hosts, jobs and users, and ends of
logs: read it before you send it.

{contents}
"""


@dataclass
class Bundle:
    """The files of an archive, redacted when they are added."""

    title: str
    redaction: Redaction
    files: dict[str, str] = field(default_factory=dict)
    """Text by path."""
    problems: list[str] = field(default_factory=list)
    """What could not be collected, and why."""

    def add_text(self, name: str, text: str) -> None:
        """Add a text, such as the end of a log."""
        self.files[name] = self.redaction.text(text)

    def add_document(self, name: str, document: Any) -> None:
        """Add a document as JSON."""
        plain = json.loads(json.dumps(document, default=str))
        self.files[name] = json.dumps(self.redaction.document(plain), indent=2, ensure_ascii=False)

    def collect(self, name: str, collector: Callable[[], object]) -> None:
        """Call a function that adds files. If it fails, the bundle says so, without these files."""
        try:
            collector()
        except FlarefleetError as error:
            self.problems.append(self.redaction.text(f"{name}: {error}"))
        except Exception as error:  # a bundle is made when something is broken
            self.problems.append(self.redaction.text(f"{name}: {type(error).__name__}: {error}"))

    def write(self, file: Path, created: str) -> None:
        """Write the archive, readable only by this user.

        Raises:
            InputError: the folder of `file` does not exist.
            Failed: a file has a known secret in spite of the redaction. Nothing is written.
        """
        if file.is_dir() or not file.absolute().parent.is_dir():
            raise InputError(f"{file}: name a file in an existing folder")
        if self.problems:
            self.files["problems.txt"] = "\n".join(self.problems) + "\n"
        contents = "\n".join(f"  {name} ({len(text.encode())} bytes)" for name, text in self.files.items())
        readme = README.format(title=self.title, created=created, contents=contents)
        texts = {"README.txt": self.redaction.text(readme), **self.files}
        for name, text in texts.items():
            if self.redaction.holds_secret(text):
                raise Failed(f"{name} still has a secret. No bundle was written; report this fault.")
        write_atomically(file, _packed(texts, file.name.removesuffix(".tar.gz")), PRIVATE_FILE)


def _packed(texts: dict[str, str], folder: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in texts.items():
            content = text.encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), PRIVATE_FILE, int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
