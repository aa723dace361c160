"""Images have no private keys: every layer of every image is unpacked and searched."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.docker.conftest import Built

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----\n.+?-----END \1-----\n", re.DOTALL)


@pytest.fixture(scope="module")
def private_keys(built: Built) -> set[bytes]:
    """Every private key in the workspace (PEM), including those in JSON files."""
    found: set[bytes] = set()
    for file in built.workspace.root.rglob("*"):
        if file.is_file():
            found |= {match[0] for match in KEY.finditer(file.read_bytes().replace(rb"\n", b"\n"))}
    return found


def traces_of_key(pem: bytes) -> list[bytes]:
    """Return byte strings that reveal a key: lines of its PEM body, and its private exponent as in DER."""
    key = load_pem_private_key(pem, None)
    assert isinstance(key, RSAPrivateKey)
    secret = key.private_numbers().d
    return [*pem.splitlines()[4:7], secret.to_bytes((secret.bit_length() + 7) // 8, "big")]


@pytest.fixture(scope="module")
def found(saved: Path, built: Built, private_keys: set[bytes]) -> dict[str, set[str]]:
    """What to search for -> the files of all images that contain it."""
    certificate = (built.workspace.kit("site-1") / "startup" / "client.crt").read_bytes()
    traces = {
        "private key": [trace for pem in private_keys for trace in traces_of_key(pem)],
        "line of a certificate": [certificate.splitlines()[5]],
        "certificate": [certificate],
    }
    found: dict[str, set[str]] = {what: set() for what in traces}
    for place, content in _contents(saved):
        for what, wanted in traces.items():
            if any(trace in content for trace in wanted):
                found[what].add(place)
    return found


def _contents(saved: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file of every layer, and every other file of the archive."""
    with tarfile.open(saved) as outer:
        for member in outer:
            file = outer.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            if member.name.endswith(".tar"):
                yield from _layer(member.name, file)
            else:
                yield member.name, file.read()


def _layer(layer: str, file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=file) as inner:
        for member in inner:
            yield f"{layer}:{member.name}", json.dumps(member.get_info(), default=str).encode()
            if content := inner.extractfile(member) if member.isfile() else None:
                yield f"{layer}:{member.name}", content.read()


def test_the_search_has_a_key_of_every_participant_and_of_the_authority(private_keys: set[bytes]) -> None:
    assert len(private_keys) >= len(["server", "site-1", "site-2", "admin", "authority"])


def test_no_private_key_is_in_any_layer_configuration_or_history(found: dict[str, set[str]]) -> None:
    assert found["private key"] == set()


def test_a_sites_certificate_is_found_only_in_its_own_image(found: dict[str, set[str]]) -> None:
    (place,) = found["certificate"]
    assert place.endswith("startup/client.crt")
    assert place in found["line of a certificate"], "the search finds a part of a file"
