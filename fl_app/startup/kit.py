"""A startup kit as a parent finds it: its files and its key, all there and readable."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fl_app.contract import ENV_KEY, installed_nvflare
from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.facts import KitFacts


@dataclass(frozen=True)
class Kit:
    """The kit of one server or site."""

    folder: Path
    facts: KitFacts
    key: Path
    """The private key: the kit's own, or one that is handed over apart from it."""

    @classmethod
    def open(cls, folder: Path, key_folder: Path) -> Kit:
        """Find the kit and its key.

        Raises:
            StartupError: a file is missing or cannot be read, or the kit is for another release of NVFlare.
        """
        facts = KitFacts.read(folder)
        _check_version(facts)
        apart = key_folder / f"{facts.role}.key"
        own = folder / "startup" / apart.name
        kit = cls(folder, facts, apart if apart.exists() or not own.exists() else own)
        for file in (kit.certificate, kit.root_certificate, kit.nvflare_file):
            _check_readable(file, Exit.KIT, "provision again: flarefleet provision")
        _check_readable(kit.key, Exit.KEY, f"the private key is neither there nor in {own}; see {ENV_KEY}")
        return kit

    @property
    def startup(self) -> Path:
        """What NVFlare provisioned."""
        return self.folder / "startup"

    @property
    def local(self) -> Path:
        """What the site decides."""
        return self.folder / "local"

    @property
    def certificate(self) -> Path:
        """The certificate of this server or site."""
        return self.startup / f"{self.facts.role}.crt"

    @property
    def root_certificate(self) -> Path:
        """The federation's root certificate."""
        return self.startup / "rootCA.pem"

    @property
    def nvflare_file(self) -> Path:
        """fed_server.json or fed_client.json."""
        return self.startup / f"fed_{self.facts.role}.json"

    @cached_property
    def service(self) -> dict[str, Any]:
        """NVFlare's `servers[0]`: the service's target and scheme, and more.

        Raises:
            StartupError: the file is damaged.
        """
        try:
            found = json.loads(self.nvflare_file.read_text(encoding="utf-8"))["servers"][0]
            found["service"]["target"].rpartition(":")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise StartupError(
                Exit.KIT, f"{self.nvflare_file} is damaged; provision again: flarefleet provision"
            ) from error
        return dict(found)

    @property
    def scheme(self) -> str:
        """grpc, http or tcp."""
        return str(self.service["service"].get("scheme", "grpc"))


def _check_version(facts: KitFacts) -> None:
    found = installed_nvflare()
    if facts.nvflare != found:
        raise StartupError(
            Exit.VERSION,
            f"the kit of {facts.name} was made for NVFlare {facts.nvflare}, here is {found or 'none'}; "
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
            code, f"{file} is not readable ({error.strerror}); give it to this user"
        ) from error
