"""A participant as its release sees it: names of its objects, its role, its chart and its kit."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from deploy.project import Project, SiteDeployment

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

    def kit_files(self, folder: str) -> dict[str, str]:
        """The public files of the kit's `folder` (startup or local), by name."""
        return {
            file.name: file.read_text(encoding="utf-8")
            for file in sorted((self.kit / folder).iterdir())
            if file.is_file() and file.suffix not in NOT_NEEDED
        }


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
