"""The startup kit of a parent: its description, its files and its private key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.contract import KIT_FACTS, installed_version
from fl_app.nvflare_internals.main_programs import Role


class ServerFacts(BaseModel, frozen=True):
    """The federation's server."""

    name: str
    host: str
    fed_learn_port: int
    admin_port: int


class KitFacts(BaseModel, frozen=True):
    """local/flarefleet.json: the participant of a kit, and the releases that made the kit."""

    project: str
    name: str
    role: Role
    org: str
    nvflare: str
    flarefleet: str
    server: ServerFacts

    @classmethod
    def read(cls, kit: Path) -> KitFacts:
        """Read flarefleet.json from the kit's local/.

        Raises:
            StartupError: the kit is missing or unreadable, or Flarefleet did not make it.
        """
        if not kit.is_dir():
            raise StartupError(Exit.KIT, f"there is no startup kit at {kit}; mount it there or set FLARE_KIT")
        file = kit / "local" / KIT_FACTS
        try:
            return cls.model_validate_json(file.read_bytes())
        except OSError as error:
            raise StartupError(
                Exit.KIT, f"the startup kit is not readable: {file}: {error.strerror}"
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            reason = ": ".join([*map(str, first["loc"]), first["msg"]])
            raise StartupError(
                Exit.KIT, f"{file} is invalid ({reason}); provision again: flarefleet provision"
            ) from error


@dataclass(frozen=True)
class Identity:
    """What proves who a participant is, and the server that it connects to."""

    name: str
    certificate: Path
    root_certificate: Path
    key: Path
    server: str
    """Name of the server in its certificate."""
    address: tuple[str, int]
    """Host and port at which it connects to the server."""
    scheme: str = "grpc"
    """Protocol to the server: grpc, http or tcp."""
    security: str = "mtls"


@dataclass(frozen=True)
class Kit:
    """The kit of one server or site."""

    folder: Path
    facts: KitFacts
    key: Path
    """The private key: in the kit, or in a folder of its own."""

    @classmethod
    def open(cls, folder: Path, key_folder: Path) -> Kit:
        """Find the kit and its key; a key in `key_folder` takes precedence over the kit's own.

        Raises:
            StartupError: a file is missing or unreadable.
        """
        facts = KitFacts.read(folder)
        separate = key_folder / f"{facts.role}.key"
        included = folder / "startup" / separate.name
        kit = cls(folder, facts, separate if separate.exists() or not included.exists() else included)
        for file in (kit.certificate, kit.root_certificate, kit.nvflare_file):
            check_readable(file, Exit.KIT, "provision again: flarefleet provision")
        return kit

    def identity(self, address: tuple[str, int] | None = None) -> Identity:
        """Return the files that identify this participant.

        Args:
            address: host and port of the server, if they differ from those in the kit.

        Raises:
            StartupError: NVFlare's file in the kit is invalid.
        """
        host, _, port = self.service["service"]["target"].rpartition(":")
        return Identity(
            name=self.facts.name,
            certificate=self.certificate,
            root_certificate=self.root_certificate,
            key=self.key,
            server=self.facts.server.name,
            address=address or (host, int(port)),
            scheme=str(self.service["service"].get("scheme", "grpc")),
            security=self.service.get("connection_security", "mtls"),
        )

    @property
    def startup(self) -> Path:
        """Folder that NVFlare provisioned."""
        return self.folder / "startup"

    @property
    def local(self) -> Path:
        """Folder of the site's own configuration."""
        return self.folder / "local"

    @property
    def certificate(self) -> Path:
        """Certificate of this server or site."""
        return self.startup / f"{self.facts.role}.crt"

    @property
    def root_certificate(self) -> Path:
        """Root certificate of the federation."""
        return self.startup / "rootCA.pem"

    @property
    def nvflare_file(self) -> Path:
        """fed_server.json or fed_client.json."""
        return self.startup / f"fed_{self.facts.role}.json"

    @cached_property
    def service(self) -> dict[str, Any]:
        """NVFlare's `servers[0]`, with the target and scheme of the server.

        Raises:
            StartupError: the file is invalid.
        """
        try:
            found = json.loads(self.nvflare_file.read_text(encoding="utf-8"))["servers"][0]
            int(found["service"]["target"].rpartition(":")[2])
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise StartupError(
                Exit.KIT, f"{self.nvflare_file} is invalid; provision again: flarefleet provision"
            ) from error
        return dict(found)


def check_version(facts: KitFacts) -> None:
    """Check that the installed NVFlare is the release that the kit was made for.

    Raises:
        StartupError: it is another one.
    """
    installed = installed_version("nvflare")
    if facts.nvflare != installed:
        raise StartupError(
            Exit.VERSION,
            f"the kit of {facts.name} was made for NVFlare {facts.nvflare}, "
            f"but {installed or 'none'} is installed; "
            "use the image or environment of the release that made the kit, or provision again with this one",
        )


def check_readable(file: Path, code: Exit, remedy: str) -> None:
    """Check that this user can read a file.

    Raises:
        StartupError: it is missing or unreadable.
    """
    try:
        with file.open("rb"):
            pass
    except FileNotFoundError as error:
        raise StartupError(code, f"{file} is missing; {remedy}") from error
    except OSError as error:
        raise StartupError(
            code, f"{file} is not readable ({error.strerror}); change its owner to this user"
        ) from error
