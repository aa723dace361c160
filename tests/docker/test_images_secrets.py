"""Images have no private keys: every layer of every image is unpacked and searched."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from deploy.docker_engine import docker_environment
from deploy.images.buildkit import find_docker
from tests.docker.conftest import Built

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----\n.+?-----END \1-----\n", re.DOTALL)


@pytest.fixture(scope="module")
def unpacked(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of `docker save`: layers, configurations and history of all images."""
    file = tmp_path_factory.mktemp("saved") / "images.tar"
    names = [built.runtime, built.server, *built.sites]
    subprocess.run(
        [find_docker(), "save", "--output", str(file), *names], env=docker_environment(), check=True
    )
    return file


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


def search(saved: Path, traces: Iterable[bytes]) -> set[str]:
    """Return the files in an archive of images that contain any of `traces`."""
    wanted = list(traces)
    return {place for place, content in _contents(saved) if any(trace in content for trace in wanted)}


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


def test_no_private_key_is_in_any_layer_configuration_or_history(
    unpacked: Path, private_keys: set[bytes]
) -> None:
    assert search(unpacked, (trace for pem in private_keys for trace in traces_of_key(pem))) == set()


def test_the_search_finds_a_certificate_in_an_image(unpacked: Path, built: Built) -> None:
    certificate = (built.workspace.kit("site-1") / "startup" / "client.crt").read_bytes()
    assert any(
        place.endswith("startup/client.crt") for place in search(unpacked, [certificate.splitlines()[5]])
    )


def test_a_sites_certificate_is_only_in_its_own_image(unpacked: Path, built: Built) -> None:
    found = search(unpacked, [(built.workspace.kit("site-1") / "startup" / "client.crt").read_bytes()])
    assert len(found) == 1
