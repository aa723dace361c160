"""The bill of materials of an image: it lies in the image, and beside it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import docker

IN_IMAGE = "/usr/share/sbom/flarefleet.cdx.json"


def read_sbom(client: docker.DockerClient, image: str) -> bytes:
    """The CycloneDX document (JSON) that lies in `image`; nothing of the image runs."""
    container = client.containers.create(image)
    try:
        chunks, _ = container.get_archive(IN_IMAGE)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            member = tar.next()
            assert member is not None
            file = tar.extractfile(member)
            assert file is not None
            return file.read()
    finally:
        container.remove()


def write_sbom(client: docker.DockerClient, image: str, file: Path) -> None:
    """Write the bill of materials of `image` to `file`."""
    content = read_sbom(client, image)
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.new")
    beside.write_bytes(content)
    beside.replace(file)
