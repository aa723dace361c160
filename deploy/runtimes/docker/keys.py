"""Copy private keys to volumes that only the container's user can read, with keys of homomorphic encryption.

A key file of a kit is 0600 and belongs to the operator. The engine copies it into a volume, where it is 0400
and belongs to the container's user. That needs neither root nor a second copy in the host's file system.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.runtimes.docker.volumes import volume_container
from fl_app.contract import CONTAINER_UID, KEY_PATH, context_file

if TYPE_CHECKING:
    import docker

LABEL_KEY = "flare/private-key"
"""Label of volumes that hold a private key."""


@dataclass(frozen=True)
class PrivateKey:
    """The private key of a kit, and its volume."""

    volume: str
    """Its name has the certificate's fingerprint: Compose replaces the container of a new certificate."""
    files: tuple[Path, ...]
    """The private key, and the key of homomorphic encryption, if the kit has one."""


def private_key_of(kit: Path, role: str, volume_prefix: str) -> PrivateKey:
    """Return the private key of a kit. `volume_prefix` is the prefix of its volume's name."""
    startup = kit / "startup"
    contexts = [file for file in (startup / context_file(role),) if file.exists()]
    identifying = (startup / f"{role}.crt", *contexts)
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in identifying)).hexdigest()[:12]
    return PrivateKey(f"{volume_prefix}-key-{digest}", (startup / f"{role}.key", *contexts))


def write_key_volume(
    client: docker.DockerClient, key: PrivateKey, image: str, labels: Mapping[str, str]
) -> None:
    """Copy the key into its volume, and create the volume if it is missing.

    `image` is any image of the engine; it is not run.
    """
    client.volumes.create(key.volume, labels={**labels, LABEL_KEY: "true"})
    with volume_container(client, key.volume, str(KEY_PATH), image, labels) as container:
        container.put_archive(str(KEY_PATH), _archive(key.files))


def _archive(files: Iterable[Path]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for file in files:
            content = file.read_bytes()
            entry = tarfile.TarInfo(file.name)
            entry.size = len(content)
            entry.mode = 0o400
            entry.uid = entry.gid = CONTAINER_UID
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
