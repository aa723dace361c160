"""An administrator's startup kit: whose it is, which server it reaches, and whether it can log in at all."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509

from deploy.errors import Failed, InputError

CONNECT_TIMEOUT = 5.0
"""Seconds until a server that does not answer counts as not there."""


@dataclass(frozen=True)
class AdminKit:
    """A startup kit as NVFlare makes it for an administrator.

    Args:
        folder: holds startup/fed_admin.json.
        user: whom the kit is for, such as admin@example.org.
        host: the server's, as the kit has it.
        port: the server's, for administration.
    """

    folder: Path
    user: str
    host: str
    port: int

    @classmethod
    def read(cls, folder: Path) -> AdminKit:
        """Read the kit in `folder`.

        Raises:
            InputError: it is not an administrator's startup kit.
        """
        config = folder / "startup" / "fed_admin.json"
        try:
            admin = json.loads(config.read_text(encoding="utf-8"))["admin"]
            return cls(folder.resolve(), str(admin["username"]), str(admin["host"]), int(admin["port"]))
        except FileNotFoundError:
            raise InputError(f"{folder}: not an administrator's startup kit: {config} is missing") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{config}: cannot be read as an administrator's kit: {error}") from error

    @property
    def address(self) -> str:
        """HOST:PORT of the server."""
        return f"{self.host}:{self.port}"

    def check(self) -> None:
        """Make sure of what NVFlare's login would only call a failure.

        Raises:
            Failed: the certificate is not valid now, or nothing listens at the server's address.
        """
        self._check_certificate()
        try:
            socket.create_connection((self.host, self.port), CONNECT_TIMEOUT).close()
        except OSError as error:
            raise Failed(
                f"no server answers at {self.address} ({error.strerror or error}). "
                "Is the federation up? flarefleet status"
            ) from None

    def _check_certificate(self) -> None:
        file = self.folder / "startup" / "client.crt"
        try:
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: cannot be read as a certificate: {error}") from error
        now = datetime.now(timezone.utc)
        if now > certificate.not_valid_after_utc:
            raise Failed(
                f"the certificate of {self.user} expired on {certificate.not_valid_after_utc:%Y-%m-%d}. "
                "Renew it: flarefleet provision --renew"
            )
        begin = certificate.not_valid_before_utc
        if now < begin:
            raise Failed(
                f"the certificate of {self.user} is valid from {begin:%Y-%m-%d %H:%M} UTC on, and this "
                f"machine says it is {now:%Y-%m-%d %H:%M} UTC. Is its clock right?"
            )

    @contextmanager
    def borrowed(self) -> Iterator[Path]:
        """A folder that NVFlare may write into and that leads to this kit; gone afterwards, the key is never
        copied."""
        with TemporaryDirectory(prefix="flarefleet-admin-") as made:
            kit = Path(made)
            for part in ("startup", "local"):
                if (self.folder / part).is_dir():
                    (kit / part).symlink_to(self.folder / part)
            yield kit
