"""A participant as its release sees it: names of its objects, its role, its chart and its kit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deploy.hosts import is_loopback
from deploy.project import Project, SiteDeployment
from deploy.project.object_names import namespace_of, release_name

LARGEST_KIT = 500_000
"""Characters. A release is kept in a Secret and a kit in ConfigMaps, each of 1 MiB at most."""
NOT_NEEDED = (".key", ".sh", ".ipynb", ".sample")
"""Of a kit: the key comes as a Secret, and nothing in a pod runs a shell or reads an example."""


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
        return namespace_of(self.name, self.deployment.namespace)

    @property
    def server_host(self) -> str:
        """The host under which a site's pod reaches the server.

        project.yml's, unless that is a loopback address: then the server's Service, in the same cluster.
        """
        host, server = self.project.server_host, self.project.server
        if not is_loopback(host):
            return host
        return f"{release_name(server.name)}.{namespace_of(server.name, server.deployment.namespace)}.svc"

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
