"""Adapters for NVFlare's provisioner: limit what builders see, and stop at the first error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from nvflare.lighter.ctx import ProvisionContext
from nvflare.lighter.entity import Participant
from nvflare.lighter.entity import Project as FlareProject
from nvflare.lighter.spec import Builder

from deploy.errors import InputError


class SelectedProject(FlareProject):
    """NVFlare's project, limited to the selected participants once `selected` is set.

    Builders resolve hierarchies and identities from all participants, and make kits for the selected ones.
    """

    def __init__(self, whole: FlareProject) -> None:
        super().__init__(whole.name, whole.description, whole.get_all_participants(), whole.props)
        self.selected: frozenset[str] | None = None

    def get_all_participants(self, types: str | list[str] | None = None) -> list[Participant]:
        """Return the selected participants, or all while none are selected."""
        found = super().get_all_participants(types)
        return [one for one in found if self.selected is None or one.name in self.selected]


class ProvisioningAborted(BaseException):
    """Carry an error through Provisioner, which prints the traceback of an Exception and continues."""


class FailFastBuilder(Builder):
    """Run the steps of another builder, and abort provisioning if one fails."""

    def __init__(self, builder: Builder, project_file: Path) -> None:
        self._project_file = project_file
        for step in ("initialize", "build", "finalize"):
            setattr(self, step, partial(self._run, type(builder).__name__, getattr(builder, step)))

    def _run(
        self, name: str, step: Callable[..., None], project: FlareProject, ctx: ProvisionContext
    ) -> None:
        try:
            step(project, ctx)
        except OSError as error:
            raise ProvisioningAborted from error
        except Exception as error:
            failure = InputError(f"{self._project_file}: {name} failed: {error or type(error).__name__}")
            failure.__cause__ = error
            raise ProvisioningAborted from failure
