"""The federation's context of homomorphic encryption: made once by NVFlare's HEBuilder, and then kept.

A model that sites encrypted with one context cannot be used with another, so all sites have the same, and a
site that is added later receives it. It is in the state folder, beside the key of the certificate authority.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.errors import InputError, MachineError
from deploy.project import Project
from deploy.project.validation.builders import HE_BUILDER
from deploy.provision.state import FileRecord, digest_of
from fl_app.contract import context_file
from fl_app.files import PRIVATE_FILE, write_atomically

CONTEXT = "he_context.json"
"""File in the state folder."""
KINDS = ("client", "server")
"""The participants with a context."""
MAX_BYTES = 900_000
"""Limit of the context of each kind of participant: a Kubernetes Secret holds at most 1 MiB, key included."""


@dataclass(frozen=True)
class EncryptionContext:
    """The content of the context's files, by the kind of participant: server or client.

    The clients' file holds the secret key, which all sites share. The server's does not.
    """

    arguments: dict[str, Any]
    """The arguments of HEBuilder that it was made with."""
    contents: Mapping[str, bytes]

    def write(self, state: Path) -> None:
        """Write the context to the state folder, readable only for the operator."""
        secret = {kind: b64encode(content).decode("ascii") for kind, content in self.contents.items()}
        document = {"arguments": self.arguments, "secret": secret}
        write_atomically(state / CONTEXT, json.dumps(document).encode(), PRIVATE_FILE)


def arguments_of(project: Project) -> dict[str, Any] | None:
    """Return the arguments of HEBuilder in project.yml; None if the federation has no such builder."""
    return next((dict(builder.args) for builder in project.builders if builder.path == HE_BUILDER), None)


def read_context(state: Path) -> EncryptionContext | None:
    """Return the context that earlier runs made, if any.

    Raises:
        MachineError: its file is damaged.
    """
    file = state / CONTEXT
    try:
        document = json.loads(file.read_bytes())
        contents = {kind: b64decode(content) for kind, content in document["secret"].items()}
        return EncryptionContext(document["arguments"], {kind: contents[kind] for kind in KINDS})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MachineError(
            f"{file} is damaged. It holds the federation's key of homomorphic encryption. Restore it from a "
            "backup, or delete it and run `flarefleet provision --renew`, which makes a new key and rebuilds "
            "every kit."
        ) from error


@dataclass(frozen=True)
class ContextPlan:
    """Whether kits have the federation's context."""

    context: EncryptionContext | None
    """The context to keep; None if the federation has no context yet, or needs a new one."""
    is_used: bool
    """Whether project.yml has HEBuilder."""

    @classmethod
    def make(cls, project: Project, state: Path) -> ContextPlan:
        """Read the context of the federation.

        Raises:
            MachineError: its file is damaged.
        """
        arguments = arguments_of(project)
        kept = read_context(state) if arguments is not None else None
        return cls(kept if kept and kept.arguments == arguments else None, arguments is not None)

    def reason_to_build(self, kind: str, files: Mapping[str, FileRecord]) -> str | None:
        """Return why a kit needs to be built again for its context, or None.

        Args:
            kind: kind of the participant.
            files: the files of its kit.
        """
        if not self.is_used or kind not in KINDS:
            return None
        found = files.get(f"startup/{context_file(kind)}")
        if self.context is None:
            return "the federation gets a new key of homomorphic encryption"
        if found is None or found.digest != digest_of(self.context.contents[kind]):
            return "its key of homomorphic encryption is not the federation's"
        return None

    def refuse_loss(self, state: Path, kits: Mapping[str, Mapping[str, FileRecord]], *, renew: bool) -> None:
        """Refuse to replace a lost context, unless `renew` is set: running sites would not fit the new one.

        Raises:
            InputError: the file is missing, and kits have a context.
        """
        if not self.is_used or renew or (state / CONTEXT).exists():
            return
        names = {f"startup/{context_file(kind)}" for kind in KINDS}
        if any(names & files.keys() for files in kits.values()):
            raise InputError(
                f"{state / CONTEXT} is missing, but kits have its key of homomorphic encryption. "
                "Restore the file from a backup, or run `flarefleet provision --renew` for a new key. It "
                "rebuilds every kit, and models that were encrypted with the old key cannot be decrypted."
            )


def context_builder(project: Project, state: Path, arguments: dict[str, Any]) -> Any:
    """Return NVFlare's HEBuilder, changed to keep the context.

    Raises:
        InputError: tenseal is not installed, or an argument is invalid.
    """
    try:
        from deploy.provision.kept_context_builder import KeptContextBuilder
    except ImportError as error:
        raise InputError(
            f"{project.path}: builders: {HE_BUILDER} requires the package tenseal, which this Python lacks "
            f"({error}). Install it, then provision again: pip install tenseal"
        ) from error
    try:
        return KeptContextBuilder(state, arguments)
    except Exception as error:
        raise InputError(f"{project.path}: builders: {HE_BUILDER}: invalid arguments: {error}") from error
