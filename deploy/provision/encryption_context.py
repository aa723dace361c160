"""The federation's context of homomorphic encryption: made once by NVFlare's HEBuilder, and then kept.

A model that sites encrypted with one context cannot be used with another, so all sites have the same, and a
site that is added later receives it. It is in the state folder, beside the key of the certificate authority.
Only `flarefleet provision --renew` replaces it, if the builder's arguments have changed or the file is lost.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from deploy.errors import InputError, MachineError
from deploy.project import Project
from deploy.project.schema import EncryptionArguments
from deploy.project.validation.builders import HE_BUILDER
from deploy.provision.state import FileRecord, KitRecord, digest_of
from deploy.workspace import Workspace
from deploy.workspace_files import link_or_copy
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
    """The arguments of HEBuilder that it was made with, defaults included."""
    contents: Mapping[str, bytes]

    def write(self, state: Path) -> None:
        """Write the context to the state folder, readable only for the operator, and keep a previous file."""
        secret = {kind: b64encode(content).decode("ascii") for kind, content in self.contents.items()}
        document: dict[str, Any] = {"arguments": self.arguments, "secret": secret}
        document["digest"] = _digest(document)
        file = state / CONTEXT
        if file.exists():
            replaced = f"{file.stem}.replaced-{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}{file.suffix}"
            link_or_copy(str(file), str(file.with_name(replaced)))
        write_atomically(file, json.dumps(document).encode(), PRIVATE_FILE)


def arguments_of(project: Project) -> dict[str, Any] | None:
    """Return the arguments of HEBuilder, defaults included; None if project.yml has no such builder."""
    for builder in project.builders:
        if builder.path == HE_BUILDER:
            return EncryptionArguments.model_validate(builder.args).with_defaults()
    return None


def read_context(state: Path) -> EncryptionContext | None:
    """Return the context that earlier runs made, if any.

    Raises:
        MachineError: its file is damaged.
    """
    file = state / CONTEXT
    try:
        document = json.loads(file.read_bytes())
        if document.pop("digest") != _digest(document):
            raise ValueError("the digest differs")
        contents = {kind: b64decode(document["secret"][kind], validate=True) for kind in KINDS}
        return EncryptionContext(document["arguments"], contents)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MachineError(
            f"{file} is damaged. It holds the federation's key of homomorphic encryption. Restore it from a "
            "backup, or move it away and run `flarefleet provision --renew`, which makes a new key and "
            "rebuilds every kit."
        ) from error


def _digest(document: Mapping[str, Any]) -> str:
    return digest_of(json.dumps(document, sort_keys=True).encode())


@dataclass(frozen=True)
class ContextPlan:
    """Whether kits have the federation's context."""

    context: EncryptionContext | None
    """The context to keep; None if the federation has no context yet, or needs a new one."""
    is_used: bool
    """Whether project.yml has HEBuilder."""

    @classmethod
    def make(
        cls, project: Project, workspace: Workspace, recorded: Mapping[str, KitRecord], *, renew: bool
    ) -> ContextPlan:
        """Read the context of the federation.

        Args:
            recorded: the record of every kit.
            renew: replace a context that is lost or was made with other arguments.

        Raises:
            InputError: the context needs to be replaced, and `renew` is not set.
            MachineError: its file is damaged.
        """
        arguments = arguments_of(project)
        if arguments is None:
            return cls(None, is_used=False)
        kept = read_context(workspace.state)
        if kept is not None and kept.arguments == arguments:
            return cls(kept, is_used=True)
        if not renew and kept is not None:
            raise InputError(_refused_change(project, kept.arguments, arguments))
        if not renew and _is_in_kits(workspace, recorded):
            raise InputError(
                f"{workspace.state / CONTEXT} is missing, but kits have its key of homomorphic encryption. "
                "Restore the file from a backup, or run `flarefleet provision --renew` for a new key. "
                f"{_CONSEQUENCE}"
            )
        return cls(None, is_used=True)

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


def _is_in_kits(workspace: Workspace, recorded: Mapping[str, KitRecord]) -> bool:
    """Return whether a kit has a context. A record may be of an old backup, and a kit may be deleted."""
    for path in (f"startup/{context_file(kind)}" for kind in KINDS):
        if any(path in kit.files for kit in recorded.values()) or any(workspace.kits.glob(f"*/{path}")):
            return True
    return False


_CONSEQUENCE = (
    "It rebuilds every kit: every site and the server must install the new one at the same time, and models "
    "that were encrypted with the old key cannot be decrypted with the new one."
)


def _refused_change(project: Project, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    changes = [
        f"{name} was {old.get(name)} and is now {value}"
        for name, value in new.items()
        if old.get(name) != value
    ]
    return (
        f"{project.path}: builders: the arguments of {HE_BUILDER} have changed ({', '.join(changes)}), which "
        "requires a new key of homomorphic encryption. Write the old arguments again to keep the key, or run "
        f"`flarefleet provision --renew` for a new one. {_CONSEQUENCE} The old key is kept in state/, in "
        "he_context.replaced-TIME.json."
    )


def context_builder(project: Project, kept: EncryptionContext | None, state: Path) -> Any:
    """Return NVFlare's HEBuilder, changed to keep the context, or to make one if `kept` is None.

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
        return KeptContextBuilder(kept, state, arguments_of(project) or {})
    except Exception as error:
        raise InputError(f"{project.path}: builders: {HE_BUILDER}: invalid arguments: {error}") from error
