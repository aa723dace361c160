"""The startup kit of a parent: its files and its private key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fl_app.contract import ENV_KEY, installed_version
from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.facts import KitFacts


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
            StartupError: a file is missing or unreadable, or the kit is for another release of NVFlare.
        """
        facts = KitFacts.read(folder)
        _check_version(facts)
        separate = key_folder / f"{facts.role}.key"
        included = folder / "startup" / separate.name
        kit = cls(folder, facts, separate if separate.exists() or not included.exists() else included)
        for file in (kit.certificate, kit.root_certificate, kit.nvflare_file):
            _check_readable(file, Exit.KIT, "provision again: flarefleet provision")
        _check_readable(kit.key, Exit.KEY, f"put the private key there or at {included}, or set {ENV_KEY}")
        return kit

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
            found["service"]["target"].rpartition(":")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise StartupError(
                Exit.KIT, f"{self.nvflare_file} is invalid; provision again: flarefleet provision"
            ) from error
        return dict(found)

    @property
    def scheme(self) -> str:
        """Protocol between site and server: grpc, http or tcp."""
        return str(self.service["service"].get("scheme", "grpc"))


def _check_version(facts: KitFacts) -> None:
    installed = installed_version("nvflare")
    if facts.nvflare != installed:
        raise StartupError(
            Exit.VERSION,
            f"the kit of {facts.name} was made for NVFlare {facts.nvflare}, "
            f"but {installed or 'none'} is installed; "
            "use the image or environment of the release that made the kit, or provision again with this one",
        )


def _check_readable(file: Path, code: Exit, remedy: str) -> None:
    try:
        with file.open("rb"):
            pass
    except FileNotFoundError as error:
        raise StartupError(code, f"{file} is missing; {remedy}") from error
    except OSError as error:
        raise StartupError(
            code, f"{file} is not readable ({error.strerror}); change its owner to this user"
        ) from error
