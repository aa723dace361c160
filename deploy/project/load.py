"""Load project.yml: into a `Project`, or into the list of all its errors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deploy.project.extras import HE
from deploy.project.models import Admin, Project, Server, Site, SiteDeployment
from deploy.project.participant_schema import (
    PARTICIPANTS,
    AdminEntry,
    ClientEntry,
    ParticipantEntry,
    ServerEntry,
)
from deploy.project.schema import (
    DefaultsEntry,
    DeploymentEntry,
    Image,
    ProjectEntry,
    SiteEntry,
    StaticFilesArguments,
)
from deploy.project.source import Source, read_source
from deploy.project.validation.builders import HE_BUILDER, STATIC_FILE_BUILDER, validate_builders
from deploy.project.validation.deployment import validate_deployment
from deploy.project.validation.diagnostics import Diagnostic, Mistake, ProjectError, key_of
from deploy.project.validation.participants import (
    REMOVED_TYPES,
    validate_loopback,
    validate_object_names,
    validate_participants,
)
from deploy.project.validation.schema_errors import parse
from deploy.project.validation.studies import validate_studies
from deploy.project.validation.tracking import validate_credentials, validate_tracking


def load_project(path: Path, workspace: Path | None = None, *, needs_credentials: bool = False) -> Project:
    """Read and validate project.yml.

    Args:
        workspace: the folder of all federations, in which no other project may have the same object names;
            None: skip this check.
        needs_credentials: also validate the file that deployment.tracking.credentials names.

    Raises:
        ProjectError: the file has errors. It contains all of them, sorted by line, each
            `FILE:LINE: KEY: what is wrong, what to do`. There is no line if the file cannot be opened.
    """
    source = read_source(path)
    folder = path.absolute().parent
    document = source.document
    top, participants, errors = _parse(source)
    errors += validate_participants(document)
    errors += validate_studies(document)
    errors += validate_deployment(document)
    errors += validate_tracking(document)
    if needs_credentials:
        errors += validate_credentials(document, folder)
    errors += validate_loopback(document)
    errors += validate_object_names(document, workspace)
    if isinstance(document.get("builders"), list):
        errors += validate_builders(document["builders"], folder, source.text_of)
    if source.errors or errors or top is None:
        raise ProjectError(_mistakes(source, errors))
    return _project(source, top, participants)


def _parse(source: Source) -> tuple[ProjectEntry | None, list[ParticipantEntry], list[Diagnostic]]:
    """Parse each section separately, so that an error in one does not hide errors in the others."""
    # Keys that begin with x- hold anchors, as in compose files; NVFlare ignores them.
    content = {key: value for key, value in source.document.items() if not key.startswith("x-")}
    top, errors = parse(ProjectEntry, content, (), source.text_of)
    participants: list[ParticipantEntry] = []
    listed = source.document.get("participants")
    for number, item in enumerate(listed if isinstance(listed, list) else []):
        kind = item.get("type") if isinstance(item, dict) else None
        kind = kind if isinstance(kind, str) else ""
        if not isinstance(item, dict) or kind in REMOVED_TYPES:
            continue  # validate_participants reports these
        entry, found = parse(
            PARTICIPANTS.get(kind, ParticipantEntry), item, ("participants", number), source.text_of
        )
        # If the type is unknown, only the keys that all participants have can be validated.
        errors += [
            error for error in found if kind in PARTICIPANTS or error.at[2] in ParticipantEntry.model_fields
        ]
        participants += [entry] if entry is not None else []
    return top, participants, errors


def _mistakes(source: Source, errors: Iterable[Diagnostic]) -> list[Mistake]:
    readable = [
        error
        for error in errors
        # Otherwise the error only follows from a value that could not be read.
        if not any(error.at[:length] in source.unreadable for length in range(len(error.at) + 1))
    ]
    lines = {
        (error.line or source.line_of(error.at), key_of(error.at), error.text): None
        for error in [*source.errors, *readable]
    }
    return [Mistake.of(source.path, *found) for found in sorted(lines)]


def _image(top: ProjectEntry) -> Image:
    """Return the settings of images, which have tenseal if the federation has HEBuilder."""
    image = top.deployment.image
    if HE in image.extras or all(builder.path != HE_BUILDER for builder in top.builders):
        return image
    return image.model_copy(update={"extras": [*image.extras, HE]})


def _project(source: Source, top: ProjectEntry, entries: list[ParticipantEntry]) -> Project:
    deployment = top.deployment
    participants = tuple(
        entry for entry in entries if isinstance(entry, ServerEntry | ClientEntry | AdminEntry)
    )
    arguments = next((builder.args for builder in top.builders if builder.path == STATIC_FILE_BUILDER), {})
    project = Project(
        path=source.path,
        name=top.name,
        description=top.description or "",
        api_version=top.api_version,
        connection_security=top.connection_security,
        custom_ca_cert=top.custom_ca_cert,
        allow_log_streaming=top.allow_log_streaming,
        server=next(_server(entry, deployment) for entry in participants if isinstance(entry, ServerEntry)),
        sites=tuple(
            Site(name=entry.name, org=entry.org, deployment=_site_deployment(entry.name, deployment))
            for entry in participants
            if isinstance(entry, ClientEntry)
        ),
        admins=tuple(
            Admin(name=entry.name, org=entry.org, role=entry.role)
            for entry in participants
            if isinstance(entry, AdminEntry)
        ),
        image=_image(top),
        scheme=StaticFilesArguments.model_validate(arguments).scheme,
        tracking=deployment.tracking,
        guard=deployment.guard,
        survival=deployment.survival,
        logs=deployment.logs,
        allowed_components=tuple(deployment.allowed_components),
        studies=top.studies,
        participants=participants,
        builders=tuple(top.builders),
    )
    project._document = source.document
    return project


def _server(entry: ServerEntry, deployment: DeploymentEntry) -> Server:
    return Server(
        name=entry.name,
        org=entry.org,
        fed_learn_port=entry.fed_learn_port,
        admin_port=entry.admin_port or entry.fed_learn_port,
        host_names=tuple(entry.host_names),
        default_host=entry.default_host or None,
        deployment=_site_deployment(entry.name, deployment),
    )


def _site_deployment(name: str, deployment: DeploymentEntry) -> SiteDeployment:
    """Apply the site's settings over the defaults. Datasets of both are merged, other values replaced."""
    site = deployment.sites.get(name, SiteEntry())
    settings = {**_given(deployment.defaults), **_given(site)}
    settings["datasets"] = {**deployment.defaults.datasets, **site.datasets}
    return SiteDeployment(**settings)


def _given(entry: DefaultsEntry) -> dict[str, Any]:
    """Return the values in the file, without defaults of the schema."""
    given = entry.model_dump(include=entry.model_fields_set)
    if "resources" in given:
        given["resources"] = {part: amounts for part, amounts in given["resources"].items() if amounts}
    return given
