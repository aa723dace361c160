"""Private keys in volumes: how a container's user gets to read the key, and nobody else on the machine does.

A key of a kit is 0600 and the operator's; the container's user is another one. So the key is put into a
volume through the engine, owned by that user, 0400. Nothing runs as root for it, and no copy lies among the
files of the host.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.runtimes.docker.volumes import carrier
from fl_app.contract import CONTAINER_UID, KEY_PATH

if TYPE_CHECKING:
    import docker

LABEL_KEY = "flare/private-key"
"""On the volumes that hold a private key."""


@dataclass(frozen=True)
class PrivateKey:
    """The key of a kit, on its way into a volume."""

    volume: str
    """Named after its certificate: a renewed one is another volume, so Compose replaces the container."""
    file: Path


def key_of(kit: Path, role: str, volume_prefix: str) -> PrivateKey:
    """The private key of a kit, and the volume it belongs into.

    Args:
        kit: the kit's folder.
        role: server or client.
        volume_prefix: what the volume's name begins with.
    """
    certificate = (kit / "startup" / f"{role}.crt").read_bytes()
    fingerprint = hashlib.sha256(certificate).hexdigest()[:12]
    return PrivateKey(f"{volume_prefix}-key-{fingerprint}", kit / "startup" / f"{role}.key")


def fill(client: docker.DockerClient, key: PrivateKey, image: str, labels: Mapping[str, str]) -> None:
    """Put the key into its volume, which is made where it is missing.

    Args:
        client: the engine.
        key: the key and its volume.
        image: any image that the engine has; nothing of it runs.
        labels: what the volume is marked with.
    """
    client.volumes.create(key.volume, labels={**labels, LABEL_KEY: "true"})
    with carrier(client, key.volume, str(KEY_PATH), image, labels) as container:
        container.put_archive(str(KEY_PATH), _archive(key.file))


def _archive(key: Path) -> bytes:
    """A tar archive of the key alone, owned by the container's user, 0400."""
    content = key.read_bytes()
    entry = tarfile.TarInfo(key.name)
    entry.size = len(content)
    entry.mode = 0o400
    entry.uid = entry.gid = CONTAINER_UID
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
