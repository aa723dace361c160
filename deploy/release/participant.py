"""A participant as its release sees it: names of its objects, its role, its chart and its kit."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deploy.project import Project, SiteDeployment

LARGEST_KIT = 500_000
"""Characters. A release is kept in a Secret and a kit in ConfigMaps, each of 1 MiB at most."""
LONGEST_NAME = 52
"""As in the charts: a StatefulSet's name with the hash of a revision must be a label."""
NOT_NEEDED = (".key", ".sh", ".ipynb", ".sample")
"""Of a kit: the key comes as a Secret, and nothing in a pod runs a shell or reads an example."""


def release_name(name: str) -> str:
    """The Helm release of a participant: its name, or for a domain name the name with hyphens."""
    return name.replace(".", "-")[:LONGEST_NAME].rstrip("-")


@dataclass(frozen=True)
class Participant:
    """The server or a site."""

    project: Project
    deployment: SiteDeployment
    name: str
    kit: Path

    @property
    def is_server(self) -> bool:
        """Whether it is the federation's server."""
        return self.name == self.project.server.name

    @property
    def chart(self) -> str:
        """The chart that installs it."""
        return "flare-server" if self.is_server else "flare-client"

    @property
    def release(self) -> str:
        """The name of its Helm release, and of its objects."""
        return release_name(self.name)

    @property
    def namespace(self) -> str:
        """Where its commands install it: project.yml's, or a namespace called like the release."""
        return self.deployment.namespace or self.release

    @property
    def server_host(self) -> str:
        """The host under which a site's pod reaches the server.

        project.yml's, unless that is a loopback address: then the server's Service, in the same cluster.
        """
        host, server = self.project.server_host, self.project.server
        if not _is_loopback(host):
            return host
        release = release_name(server.name)
        return f"{release}.{server.deployment.namespace or release}.svc"

    @property
    def server_address(self) -> str:
        """HOST:PORT of the same."""
        return f"{self.server_host}:{self.project.server.fed_learn_port}"

    @property
    def secret(self) -> str:
        """The Secret with its private key."""
        return f"{self.release}-key"

    @property
    def key(self) -> Path:
        """Its private key."""
        return self.kit / "startup" / ("server.key" if self.is_server else "client.key")

    @cached_property
    def kit_files(self) -> dict[str, dict[str, str]] | None:
        """The public files of the kit's startup/ and local/, by name.

        None where values cannot carry them: there is a folder in them, a file that is no text, or too much.
        """
        found = {folder: self._texts(folder) for folder in ("startup", "local")}
        texts = {folder: files for folder, files in found.items() if files is not None}
        size = sum(len(text) for files in texts.values() for text in files.values())
        return texts if texts.keys() == found.keys() and size <= LARGEST_KIT else None

    def _texts(self, folder: str) -> dict[str, str] | None:
        files = [file for file in sorted((self.kit / folder).iterdir()) if file.suffix not in NOT_NEEDED]
        try:
            return {file.name: file.read_text(encoding="utf-8") for file in files}
        except (IsADirectoryError, UnicodeDecodeError):
            return None

    @property
    def image(self) -> str:
        """The image that its pods run: everybody's, or its own where values cannot carry the kit."""
        from deploy.images.names import runtime_image, site_image

        if self.kit_files is None:
            return site_image(self.project, self.name)
        return runtime_image(self.project.image)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
