"""local/flarefleet.json of a kit: the participant and the releases that it was provisioned for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fl_app.contract import KIT_FACTS
from fl_app.startup.exit_codes import Exit, StartupError

Role = Literal["server", "client"]


@dataclass(frozen=True)
class ServerFacts:
    """The federation's server."""

    name: str
    host: str
    fed_learn_port: int
    admin_port: int


@dataclass(frozen=True)
class KitFacts:
    """The participant of a kit, and the releases that made the kit."""

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
            StartupError: The kit is missing or unreadable, or Flarefleet did not make it.
        """
        if not kit.is_dir():
            raise StartupError(Exit.KIT, f"there is no startup kit at {kit}; mount it there or set FLARE_KIT")
        file = kit / "local" / KIT_FACTS
        try:
            return cls._parse(json.loads(file.read_text(encoding="utf-8")))
        except OSError as error:
            raise StartupError(
                Exit.KIT, f"the startup kit is not readable: {file}: {error.strerror}"
            ) from error
        except (ValueError, TypeError, KeyError) as error:
            raise StartupError(
                Exit.KIT, f"{file} is invalid ({error}); provision again: flarefleet provision"
            ) from error

    @classmethod
    def _parse(cls, document: Mapping[str, Any]) -> KitFacts:
        server = document["server"]
        role = document["role"]
        if role not in ("server", "client"):
            raise ValueError(f"role is {role}, expected server or client")
        return cls(
            project=str(document["project"]),
            name=str(document["name"]),
            role=role,
            org=str(document["org"]),
            nvflare=str(document["nvflare"]),
            flarefleet=str(document["flarefleet"]),
            server=ServerFacts(
                name=str(server["name"]),
                host=str(server["host"]),
                fed_learn_port=int(server["fed_learn_port"]),
                admin_port=int(server["admin_port"]),
            ),
        )
