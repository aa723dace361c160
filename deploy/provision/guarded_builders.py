"""How our builders stand in NVFlare's provisioner: which participants they see, and how an error ends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nvflare.lighter.ctx import ProvisionContext
from nvflare.lighter.entity import Participant
from nvflare.lighter.entity import Project as FlareProject
from nvflare.lighter.spec import Builder

from deploy.errors import InputError


class Selection(FlareProject):
    """NVFlare's project, of which builders see all participants until some are selected.

    Hierarchies and identities are found from all; kits are made for those selected.
    """

    def __init__(self, whole: FlareProject) -> None:
        super().__init__(whole.name, whole.description, whole.get_all_participants(), whole.props)
        self.selected: frozenset[str] | None = None

    def get_all_participants(self, types: str | list[str] | None = None) -> list[Participant]:
        """Those selected; all before."""
        found = super().get_all_participants(types)
        return [one for one in found if self.selected is None or one.name in self.selected]


class Stopped(BaseException):
    """Carries an error past Provisioner, which would print the traceback of an Exception and go on."""


class Guarded(Builder):
    """Another builder, whose errors end the provisioning."""

    def __init__(self, builder: Builder, project_file: Path) -> None:
        self._builder = builder
        self._project_file = project_file

    def initialize(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """The other builder's."""
        self._run(self._builder.initialize, project, ctx)

    def build(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """The other builder's."""
        self._run(self._builder.build, project, ctx)

    def finalize(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """The other builder's."""
        self._run(self._builder.finalize, project, ctx)

    def _run(self, step: Callable[..., None], project: FlareProject, ctx: ProvisionContext) -> None:
        try:
            step(project, ctx)
        except OSError as error:
            raise Stopped from error
        except Exception as error:
            name = type(self._builder).__name__
            text = f"{self._project_file}: {name} refused it: {error or type(error).__name__}"
            refusal = InputError(text)
            refusal.__cause__ = error
            raise Stopped from refusal


class Silence:
    """What NVFlare says of its progress; what it refuses comes as an error."""

    def debug(self, message: str) -> None:
        """Say nothing."""

    info = warning = error = debug
