"""Validation of `deployment.tracking`: its variables and its credentials file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.errors import InputError
from deploy.project.server_environment import TRACKER_PREFIXES, read_credentials
from deploy.project.validation.diagnostics import Diagnostic, Location
from deploy.project.validation.entries import mapping_of, text_at

_SECRET_NAME = re.compile(r"TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIAL|(?:^|_)KEY(?:_|$)", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]*@")
_AT: Location = ("deployment", "tracking")


def validate_tracking(document: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Validate the variables in `deployment.tracking`, beyond keys and types."""
    for name, value in mapping_of(_tracking(document).get("environment")).items():
        at = (*_AT, "environment", name)
        if not name.startswith(TRACKER_PREFIXES):
            yield Diagnostic(at, "must begin with MLFLOW_ or WANDB_; remove it")
        elif "\0" in str(value):
            yield Diagnostic(at, "contains a null byte, which no environment variable may have; remove it")
        elif _SECRET_NAME.search(name) or _PASSWORD_IN_URL.search(str(value)):
            yield Diagnostic(
                at, "is a secret; move it to a file that only you can read, and name it in credentials: FILE"
            )


def validate_credentials(document: Mapping[str, Any], folder: Path) -> Iterator[Diagnostic]:
    """Validate the credentials file. A relative path starts at `folder`."""
    tracking = _tracking(document)
    if written := text_at(tracking, "credentials"):
        at = (*_AT, "credentials")
        try:
            credentials = read_credentials(folder / Path(written).expanduser())
        except (InputError, RuntimeError) as error:
            yield Diagnostic(at, str(error))
            return
        for name in sorted(credentials.keys() & mapping_of(tracking.get("environment")).keys()):
            yield Diagnostic(at, f"{name} is in this file and in environment; remove one")


def _tracking(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping_of(mapping_of(document.get("deployment")).get("tracking"))
