"""The bill of materials of an image, which is stored in the image."""

from __future__ import annotations

import io
import tarfile

import docker

SBOM_PATH = "/usr/share/sbom/flarefleet.cdx.json"


def read_sbom(client: docker.DockerClient, image: str) -> bytes:
    """Return the CycloneDX document (JSON) in `image`, without running the image."""
    container = client.containers.create(image)
    try:
        chunks, _ = container.get_archive(SBOM_PATH)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            member = tar.next()
            assert member is not None
            file = tar.extractfile(member)
            assert file is not None
            return file.read()
    finally:
        container.remove()
