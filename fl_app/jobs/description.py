"""Description of a job, for its selection and export."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from fl_app.installing import pip_install
from fl_app.jobs.parameters import JobParameters


class UnknownJob(LookupError):  # noqa: N818 - an outcome that users read
    """No such job exists, or its folder is invalid."""


class InvalidJob(ValueError):  # noqa: N818 - an outcome that users read
    """A user's own script, folder or archive is no valid job."""


class Exportable(Protocol):
    """A recipe of NVFlare, or what is exported like one."""

    @property
    def name(self) -> str:
        """Name of the job; valid after the export."""

    def export(self, job_dir: str, /) -> None:
        """Export the job into the folder `job_dir`/NAME."""


@dataclass(frozen=True)
class JobDescription:
    """A job that can be exported."""

    name: str
    description: str
    parameters: type[JobParameters]
    recipe: Callable[[Any, Sequence[str]], Exportable]
    """Makes the recipe from parameters and sites. It imports torch and NVFlare only when called."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """Required packages: import name to what pip installs."""
    extras: tuple[str, ...] = ()
    """Extras that images need (`deployment.image.extras` of project.yml)."""
    warm_up: tuple[str, ...] = ()
    """Slow modules that the recipe imports; they are imported while `flarefleet submit` logs in."""
    folder: Path | None = None
    """Folder of a user's own job with a job.py of Flarefleet; None for any other job."""
    file: Path | None = None
    """Script of NVFlare, exported job folder or archive of one; None for any other job.

    Such a job does not depend on the sites: NVFlare deploys it to all, or to those that it names.
    """

    @classmethod
    def of(cls, name: str, job: ModuleType, folder: Path | None = None) -> JobDescription:
        """Read the description from a job.py."""
        return cls(
            name,
            job.DESCRIPTION,
            job.PARAMETERS,
            job.recipe,
            needs=getattr(job, "NEEDS", {}),
            extras=tuple(getattr(job, "EXTRAS", ())),
            warm_up=tuple(getattr(job, "WARM_UP", ())),
            folder=folder,
        )

    @property
    def source(self) -> str:
        """Argument with which `registry.find` returns this job in any process."""
        return str(self.folder or self.file or self.name)

    @property
    def is_script(self) -> bool:
        """Whether a script of NVFlare makes the job."""
        return self.file is not None and self.file.suffix == ".py"

    def missing(self, elsewhere: Sequence[str] = ()) -> str:
        """Name the packages that this environment lacks, and how to install them; empty if none.

        Args:
            elsewhere: extras of the images that the job will run in; the recipe does not need their packages.
        """
        there = {f"flarefleet[{extra}]" for extra in elsewhere if extra in self.extras}
        absent = [name for name, what in self.needs.items() if what not in there and find_spec(name) is None]
        if not absent:
            return ""
        install = pip_install(self.needs[name] for name in absent)
        return f"the job {self.name} needs {', '.join(absent)}, not installed here: {install}"
