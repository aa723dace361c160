"""Find the secrets of a federation or of one site, so that no bundle contains them."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from deploy.bundle.redaction import SECRET_KEY
from deploy.secret_files import has_secret_name
from fl_app.contract import CONTEXT_SUFFIX

MIN_LINE = 16
"""Length from which a line of a private key is a secret of its own."""
LARGEST_FILE = 16 * 2**20
DATA = ("data", "stringData")
"""The keys of a Secret's content."""
_NO_SECRETS = ("true", "false", "null", "none")


@dataclass
class KnownSecrets:
    """The secrets that were found."""

    values: set[str] = field(default_factory=set)
    """Passwords, tokens and the like."""
    key_lines: set[str] = field(default_factory=set)
    """Lines of private keys, and keys in base64."""
    problems: list[str] = field(default_factory=list)
    """Files that could not be read, so that only the form of their secrets is known."""

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Add the values of variables such as WANDB_API_KEY."""
        for name, value in environment.items():
            is_path = value.startswith(("/", "~"))
            if SECRET_KEY.search(name) and not is_path:
                self._add_value(value)

    def add_folder(self, folder: Path) -> None:
        """Add the secrets in the files of a workspace or a release folder, by their names and content."""
        for where, _, names in os.walk(folder, onerror=self._add_problem):
            for file in (Path(where, name) for name in names):
                with self._readable():
                    if file.is_file() and file.stat().st_size <= LARGEST_FILE:
                        self._add_file(file)

    def add_settings(self, file: Path) -> None:
        """Add the values of lines NAME=VALUE whose names are those of secrets."""
        self._add_variables(file, lambda name: SECRET_KEY.search(name) is not None)

    def add_credentials(self, file: Path) -> None:
        """Add the value of every line NAME=VALUE, such as the credentials of trackers."""
        self._add_variables(file, lambda _: True)

    def _add_variables(self, file: Path, is_secret: Callable[[str], bool]) -> None:
        lines: list[str] = []
        with self._readable():
            if file.is_file():
                lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines:
            name, _, value = line.partition("=")
            if name.strip() and not name.startswith("#") and is_secret(name):
                self._add_value(value.strip())
                self._add_value(value.strip().strip("'\""))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """List an error of a file as a problem: a container's key is not this user's, a log was rotated."""
        try:
            yield
        except OSError as error:
            self._add_problem(error)

    def _add_problem(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            self.problems.append(
                f"{error.filename}: {error.strerror}; its secrets are redacted only by their form"
            )

    def _add_file(self, file: Path) -> None:
        is_manifest = "secret" in file.name and file.suffix in (".yaml", ".yml")
        if file.suffix == CONTEXT_SUFFIX:  # binary, so that a log can have it only in base64
            self._add_value(b64encode(file.read_bytes()).decode("ascii"))
        elif has_secret_name(file):
            self._add_lines(file.read_text(encoding="utf-8", errors="replace"))
        elif file.name == ".env":  # settings of Compose, such as the image
            self.add_settings(file)
        elif file.suffix == ".env":
            self.add_credentials(file)
        elif is_manifest or (file.parent.name.startswith("state") and file.suffix == ".json"):
            text = file.read_text(encoding="utf-8", errors="replace")
            with suppress(yaml.YAMLError, ValueError):
                for document in yaml.safe_load_all(text) if is_manifest else [json.loads(text)]:
                    self._add_leaves(document)

    def _add_leaves(self, value: Any, *, is_secret: bool = False) -> None:
        """Add the strings under secret keys or in the data of a Secret, and those that are private keys."""
        if isinstance(value, dict):
            for key, item in value.items():
                is_named = key in DATA or SECRET_KEY.search(str(key)) is not None
                self._add_leaves(item, is_secret=is_secret or is_named)
        elif isinstance(value, list):
            for item in value:
                self._add_leaves(item, is_secret=is_secret)
        elif isinstance(value, str) and "PRIVATE KEY" in value:
            self._add_lines(value)
        elif isinstance(value, str) and is_secret:
            self._add_encoded(value)

    def _add_encoded(self, value: str) -> None:
        """Add a value that may be text in base64."""
        decoded = ""
        with suppress(ValueError):
            decoded = b64decode(value, validate=True).decode()
        if "PRIVATE KEY" in decoded:
            self.key_lines.add(value)
            self._add_lines(decoded)
        else:
            self._add_value(value)
            self._add_value(decoded)

    def _add_value(self, value: str) -> None:
        if value.lower() not in _NO_SECRETS:
            self.values.add(value)

    def _add_lines(self, text: str) -> None:
        """Add the lines of a private key without those that mark its begin and end."""
        lines = (line.strip() for line in text.splitlines())
        self.key_lines |= {line for line in lines if len(line) >= MIN_LINE and not line.startswith("-----")}
