"""An administrator's startup kit."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from deploy.errors import Failed, InputError
from deploy.workspace import KIT_FOLDERS
from fl_app.temporary_folders import temporary_folder

CONNECT_TIMEOUT = 5.0
"""Seconds."""


_CONFIG = Path("startup", "fed_admin.json")


def kit_folder(folder: Path) -> Path | None:
    """Return the administrator's kit that a folder is, or contains; None if there is none."""
    if (folder / _CONFIG).is_file():
        return folder
    found = [file.parents[1] for file in folder.glob(f"*/{_CONFIG}")]
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class AdminKit:
    """A startup kit that NVFlare created for an administrator, with the server's address in it."""

    folder: Path
    user: str
    host: str
    port: int

    @classmethod
    def read(cls, folder: Path) -> AdminKit:
        """Read the kit in `folder`, which may be the release folder that contains it.

        Raises:
            InputError: it is not an administrator's startup kit.
        """
        folder = kit_folder(folder) or folder
        config = folder / _CONFIG
        try:
            admin = json.loads(config.read_text(encoding="utf-8"))["admin"]
            return cls(folder.resolve(), str(admin["username"]), str(admin["host"]), int(admin["port"]))
        except FileNotFoundError:
            raise InputError(f"{folder}: not an administrator's startup kit: {config} is missing") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{config}: is not a valid administrator's kit: {error}") from error

    @property
    def address(self) -> str:
        """HOST:PORT of the server."""
        return f"{self.host}:{self.port}"

    def check(self) -> None:
        """Check the certificate and the connection; NVFlare's login does not tell why it fails.

        Raises:
            Failed: the certificate is expired or not yet valid, or no server answers.
        """
        self._check_certificate()
        try:
            socket.create_connection((self.host, self.port), CONNECT_TIMEOUT).close()
        except OSError as error:
            raise Failed(
                f"no server answers at {self.address} ({error.strerror or error}). "
                "Is the federation running, and does the network of this machine allow the connection?"
            ) from None

    def _check_certificate(self) -> None:
        from cryptography import x509

        file = self.folder / "startup" / "client.crt"
        try:
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: is not a valid certificate: {error}") from error
        now = datetime.now(timezone.utc)
        if now > certificate.not_valid_after_utc:
            raise Failed(
                f"the certificate of {self.user} expired on {certificate.not_valid_after_utc:%Y-%m-%d}. "
                "The operator renews it: flarefleet provision --renew"
            )
        begin = certificate.not_valid_before_utc
        if now < begin:
            raise Failed(
                f"the certificate of {self.user} is valid from {begin:%Y-%m-%d %H:%M} UTC. The clock of this "
                f"machine is at {now:%Y-%m-%d %H:%M} UTC; correct it if it is wrong."
            )

    @contextmanager
    def borrowed(self) -> Iterator[Path]:
        """Return a temporary folder that links to this kit and that NVFlare may write into.

        The private key is not copied.
        """
        with temporary_folder("flarefleet-admin-") as kit:
            for part in KIT_FOLDERS:
                if (self.folder / part).is_dir():
                    (kit / part).symlink_to(self.folder / part)
            yield kit
