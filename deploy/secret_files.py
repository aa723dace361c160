"""Decide whether a file of a startup kit is secret, by its name and by its content."""

from __future__ import annotations

import re
from pathlib import PurePath

from deploy.errors import InputError
from fl_app.contract import CONTEXT_SUFFIX

KEY_SUFFIX = ".key"
SECRET_SUFFIXES = (KEY_SUFFIX, CONTEXT_SUFFIX, ".p12", ".pfx")
"""Private keys, and contexts of homomorphic encryption, of which the clients' hold the secret key."""
_PEM_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----")


def has_secret_name(file: PurePath) -> bool:
    """Return whether the name has one of SECRET_SUFFIXES. Such a file is never published."""
    return file.suffix.lower() in SECRET_SUFFIXES


def refuse_private_key(file: PurePath, content: bytes) -> None:
    """Refuse a file that is about to be published with the public part of a kit.

    Raises:
        InputError: `content` has a private key in PEM format, encrypted or not.
    """
    if _PEM_PRIVATE_KEY.search(content):
        raise InputError(
            f"{file} holds a private key, and this folder is published in images, Helm values and "
            "ConfigMaps. Move the file out of the kit; only server.key or client.key in startup/ is expected."
        )
