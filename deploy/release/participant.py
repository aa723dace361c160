"""A participant as its release sees it: role, chart, object names and kit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from deploy.charts import chart_file
from deploy.hosts import is_loopback
from deploy.images.digests import read_digests
from deploy.images.names import runtime_image, site_image
from deploy.project import Project, SiteDeployment
from deploy.project.object_names import namespace_of, release_name
from deploy.secret_files import has_secret_name, refuse_private_key
from deploy.workspace import KIT_FOLDERS, Workspace
from fl_app.contract import CONTEXT_SUFFIX

MAX_KIT_CHARACTERS = 500_000
"""A Helm release is stored in a Secret and a kit in ConfigMaps, each limited to 1 MiB."""
CHARTS = ("flare-server", "flare-client")
"""The charts of the server and of a site."""
EXCLUDED_SUFFIXES = (".sh", ".ipynb", ".sample")
"""Files of a kit that no pod reads."""


@dataclass
class Participant:
    """The server or a site."""

    project: Project
    deployment: SiteDeployment
    name: str
    kit: Path
    digests: Mapping[str, str] = field(default_factory=dict)
    """The digests of pushed images by their names."""

    def __post_init__(self) -> None:
        host, server = self.project.server_host, self.project.server
        self.is_server = self.name == server.name
        self.chart = CHARTS[0 if self.is_server else 1]
        """The chart that installs it."""
        self.release = release_name(self.name)
        """The name of its Helm release and of its Kubernetes objects."""
        self.namespace = namespace_of(self.name, self.deployment.namespace)
        """Its namespace: project.yml's, or the release name by default."""
        self.secret = f"{self.release}-key"
        """The name of the Secret with its private key."""
        self.key = self.kit / "startup" / ("server.key" if self.is_server else "client.key")
        """The file of its private key."""
        self.secret_files = (self.key, *sorted(self.key.parent.glob(f"*{CONTEXT_SUFFIX}")))
        """The files of its Secret: the private key, and that of homomorphic encryption, if there is one."""
        if is_loopback(host):
            host = f"{release_name(server.name)}.{namespace_of(server.name, server.deployment.namespace)}.svc"
        self.server_host = host
        """The host at which a site's pod reaches the server.

        If project.yml has a loopback address, it is the server's Service in the same cluster.
        """
        self.server_address = f"{host}:{server.fed_learn_port}"
        """HOST:PORT of `server_host`."""

    @property
    def has_encryption(self) -> bool:
        """Whether the federation has a key of homomorphic encryption."""
        return len(self.secret_files) > 1

    @cached_property
    def kit_files(self) -> dict[str, dict[str, str]] | None:
        """The public files of the kit's startup/ and local/: folder -> file name -> text.

        None if Helm values cannot hold them: there is a subfolder, a file that is not text, or too much text.

        Raises:
            InputError: a file other than the known key files holds a private key.
        """
        found = {folder: self._texts(folder) for folder in KIT_FOLDERS}
        texts = {folder: files for folder, files in found.items() if files is not None}
        size = sum(len(text) for files in texts.values() for text in files.values())
        return texts if texts.keys() == found.keys() and size <= MAX_KIT_CHARACTERS else None

    def _texts(self, folder: str) -> dict[str, str] | None:
        texts: dict[str, str] | None = {}
        for file in sorted((self.kit / folder).rglob("*")):
            if file.is_dir():
                texts = None
            elif not has_secret_name(file):
                content = file.read_bytes()
                refuse_private_key(file, content)
                if texts is not None and file.suffix not in EXCLUDED_SUFFIXES:
                    try:
                        texts[file.name] = content.decode()
                    except UnicodeDecodeError:
                        texts = None
        return texts

    @property
    def image(self) -> str:
        """The image of its pods: the runtime image, or its own image if Helm values cannot hold the kit."""
        if self.kit_files is None:
            return site_image(self.project, self.name)
        return runtime_image(self.project.image)

    @property
    def digest(self) -> str:
        """The digest of `image`; empty if it was not pushed."""
        return self.digests.get(self.image, "")

    @property
    def chart_file(self) -> str:
        """The file name of the package of its chart."""
        return chart_file(self.chart)

    @property
    def container_image(self) -> str:
        """The image of its container: its own image, which holds its kit."""
        return site_image(self.project, self.name)

    @property
    def container_digest(self) -> str:
        """The digest of `container_image`; empty if it was not pushed."""
        return self.digests.get(self.container_image, "")


def participants_of(project: Project, workspace: Workspace) -> dict[str, Participant]:
    """Return the server and every site by name, the server first."""
    digests = read_digests(workspace)
    return {
        parent.name: Participant(project, parent.deployment, parent.name, workspace.kit(parent.name), digests)
        for parent in project.parents
    }
