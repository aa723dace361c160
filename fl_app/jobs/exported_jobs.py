"""A job exported before: a folder of NVFlare with meta.json and the apps, or a zip archive of one."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile, ZipFile

from fl_app.jobs.description import InvalidJob, JobDescription
from fl_app.jobs.parameters import JobParameters
from fl_app.temporary_folders import temporary_folder

_META = "meta"
_CONFIGURATIONS = (_META, "*/config/config_fed_server", "*/config/config_fed_client")
"""The files that describe a job, without the extensions of their formats."""
_FORMATS = (".json", ".conf", ".yml", ".yaml")
"""NVFlare's formats, in the order in which it looks for a file."""
_NOT_COPIED = shutil.ignore_patterns(
    "__pycache__", "*.pyc", ".__nvfl*"
)  # signatures of an earlier submission


class NoParameters(JobParameters):
    """An exported job has no parameters: its configuration files have the values."""


class ExportedJob:
    """A job folder, or an archive of one."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self.name = source.stem

    def export(self, into: str) -> None:
        """Copy the job into `into`/NAME, with its configuration in JSON, and set `name`.

        Raises:
            InvalidJob: it is not a job, or the archive has a path outside of itself.
        """
        if self._source.is_dir():
            self._copy(self._source, Path(into))
            return
        with temporary_folder("flarefleet-archive-") as temporary:
            extracted = temporary / "job"
            extracted.mkdir()
            _extract(self._source, extracted)
            self._copy(self._folder_in(extracted), Path(into))

    def _folder_in(self, extracted: Path) -> Path:
        found = [
            folder for folder in (extracted, *extracted.iterdir()) if folder.is_dir() and is_exported(folder)
        ]
        if len(found) != 1:
            raise InvalidJob(
                f"{self._source}: has {len(found) or 'no'} job{'s' * (len(found) > 1)}; "
                "an archive of a job has meta.json at its top or in its folder"
            )
        return found[0]

    def _copy(self, job: Path, into: Path) -> None:
        configurations = {file: _read(file) for pattern in _CONFIGURATIONS for file in _files(job, pattern)}
        meta = next(iter(configurations.values()))
        self.name = str(meta.get("name") or self.name)
        target = into / self.name
        if target.parent != into or not isinstance(meta.get("deploy_map"), dict):
            raise InvalidJob(f"{self._source}: meta.json of the job has no valid name or no deploy_map")
        try:
            shutil.copytree(job, target, ignore=_NOT_COPIED)
        except shutil.Error as error:
            raise InvalidJob(f"{self._source}: cannot be copied: {error.args[0][0][2]}") from error
        for file, document in configurations.items():
            copied = target / file.relative_to(job)
            copied.unlink()
            copied.with_suffix(".json").write_text(json.dumps(document, indent=2), encoding="utf-8")


def is_exported(folder: Path) -> bool:
    """Return whether a folder is a job folder of NVFlare."""
    return any(_files(folder, _META))


def describe(source: Path) -> JobDescription:
    """Return the job in a folder or an archive. It is read only when the job is exported."""
    return JobDescription(
        name=source.stem if source.is_file() else source.name,
        description=f"Exported job of NVFlare: {source}",
        parameters=NoParameters,
        recipe=lambda parameters, sites: ExportedJob(source),
        file=source,
    )


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the files of a pattern without an extension, each in the first of its formats that exists."""
    found: dict[Path, Path] = {}
    for suffix in _FORMATS:
        for file in folder.glob(f"{pattern}{suffix}"):
            found.setdefault(file.with_suffix(""), file)
    return iter(found.values())


def _read(file: Path) -> dict[str, Any]:
    from nvflare.fuel.utils.config_factory import ConfigFactory, ConfigFormat

    formats = ConfigFormat.config_ext_formats()
    try:
        document = ConfigFactory.get_config_loader(formats[file.suffix]).load_config(str(file)).to_dict()
    except Exception as error:  # each format has its own exceptions
        raise InvalidJob(f"{file}: is invalid: {error}") from error
    if not isinstance(document, dict):
        raise InvalidJob(f"{file}: must be an object, not {type(document).__name__}")
    return document


def _extract(archive: Path, into: Path) -> None:
    """Extract an archive.

    Raises:
        InvalidJob: it is not a zip archive, or one of its paths is outside of it or a link.
    """
    try:
        with ZipFile(archive) as opened:
            members = []
            for entry in opened.infolist():
                path = PurePosixPath(entry.filename.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]):
                    raise InvalidJob(f"{archive}: the path {entry.filename} is outside of the archive")
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise InvalidJob(f"{archive}: {entry.filename} is a link; archive the file itself")
                if path.parts:  # not the archive's own folder
                    members.append(entry)
            opened.extractall(into, members)
    except (BadZipFile, NotImplementedError, RuntimeError) as error:  # RuntimeError: encrypted
        raise InvalidJob(f"{archive}: is not a valid zip archive: {error}") from error
