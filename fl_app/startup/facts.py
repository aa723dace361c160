"""local/flarefleet.json of a kit: the participant and the releases that it was provisioned for."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

from fl_app.contract import KIT_FACTS
from fl_app.nvflare_internals.main_programs import Role
from fl_app.startup.exit_codes import Exit, StartupError


class ServerFacts(BaseModel, frozen=True):
    """The federation's server."""

    name: str
    host: str
    fed_learn_port: int
    admin_port: int


class KitFacts(BaseModel, frozen=True):
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
