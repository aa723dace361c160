"""The format of a backup: a header with all parameters, encrypted content, and a checksum.

    flarefleet backup 1\\n       magic and version of the format
    {"project": ..., ...}\\n     header: JSON on one line
    ...                         content, encrypted with AES-256-GCM, which authenticates the lines before, too
    32 bytes                    SHA-256 of everything before

scrypt derives the key from the passphrase. The checksum distinguishes damage from a wrong passphrase.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.errors import InputError

PREFIX = b"flarefleet backup "
MAGIC = PREFIX + b"1\n"
CHECKSUM_BYTES = 32
KEY_BYTES = 32
MAX_HEADER_BYTES = 4096
SCRYPT_N = 2**17
"""Cost of a new backup: 128 MiB of memory and about half a second for each attempt at the passphrase."""

_Cost = Annotated[int, Field(ge=2, le=2**20)]


class Header(BaseModel):
    """The parameters of a backup, readable without the passphrase."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str
    created: str
    """Time in UTC, ISO 8601."""
    flarefleet: str
    kdf: Literal["scrypt"] = "scrypt"
    n: _Cost
    r: Annotated[int, Field(ge=1, le=8)] = 8
    p: Annotated[int, Field(ge=1, le=16)] = 1
    salt: str
    cipher: Literal["AES-256-GCM"] = "AES-256-GCM"
    nonce: str
    size: Annotated[int, Field(ge=0)]
    """Bytes of the encrypted content."""


def encrypt(content: bytes, passphrase: str, *, project: str, created: str, flarefleet: str) -> bytes:
    """Return a backup of `content`."""
    salt, nonce = os.urandom(16), os.urandom(12)
    header = Header(
        project=project,
        created=created,
        flarefleet=flarefleet,
        n=SCRYPT_N,
        salt=b64encode(salt).decode(),
        nonce=b64encode(nonce).decode(),
        size=len(content) + 16,  # the tag of AES-GCM
    )
    head = MAGIC + header.model_dump_json().encode() + b"\n"
    body = head + AESGCM(_key(header, passphrase)).encrypt(nonce, content, head)
    return body + sha256(body).digest()


def decrypt(file: Path, passphrase: str) -> tuple[Header, bytes]:
    """Return the header and the content of a backup.

    Raises:
        InputError: `file` is unreadable, no backup, of another version, truncated or damaged, or the
            passphrase is wrong.
    """
    document = read(file)
    header, start = _header(file, document)
    end = start + header.size
    if len(document) < end + CHECKSUM_BYTES:
        raise InputError(
            f"{file} is truncated: it has {len(document)} of {end + CHECKSUM_BYTES} bytes. Use another copy."
        )
    if sha256(document[:end]).digest() != document[end:]:
        raise InputError(f"{file} is damaged: its checksum does not match. Use another copy.")
    try:
        key, nonce = _key(header, passphrase), b64decode(header.nonce)
        return header, AESGCM(key).decrypt(nonce, document[start:end], document[:start])
    except (InvalidTag, ValueError) as error:
        raise InputError(f"The passphrase of {file} is wrong.") from error


def read(file: Path) -> bytes:
    """Return the content of a file that the user named.

    Raises:
        InputError: it is unreadable.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error


def _header(file: Path, document: bytes) -> tuple[Header, int]:
    """Return the header, and the offset of the encrypted content."""
    if not document.startswith(PREFIX):
        raise InputError(f"{file} is not a backup of Flarefleet.")
    if not document.startswith(MAGIC):
        version = document[len(PREFIX) : len(PREFIX) + 16].split(b"\n")[0].decode("ascii", "replace")
        raise InputError(
            f"{file} has version {version!r} of the format, and this Flarefleet reads version 1. "
            "Restore it with the release that made it."
        )
    end = document.find(b"\n", len(MAGIC), len(MAGIC) + MAX_HEADER_BYTES)
    try:
        if end < 0:
            raise ValueError("no header")
        return Header.model_validate_json(document[len(MAGIC) : end]), end + 1
    except (ValidationError, ValueError) as error:
        raise InputError(f"{file} is damaged: its header is invalid. Use another copy.") from error


def _key(header: Header, passphrase: str) -> bytes:
    kdf = Scrypt(b64decode(header.salt), KEY_BYTES, header.n, header.r, header.p)
    return kdf.derive(passphrase.encode())
