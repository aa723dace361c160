"""From a file to a `Project`, or to every mistake that is in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deploy.errors import InputError
from deploy.project.models import Admin, Dataset, Image, Project, Server, Site, SiteDeployment
from deploy.project.schema import (
    PARTICIPANTS,
    AdminEntry,
    ClientEntry,
    DefaultsEntry,
    DeploymentEntry,
    ParticipantEntry,
    ProjectEntry,
    ServerEntry,
    SiteEntry,
    StaticFilesArguments,
)
from deploy.project.source import Source, read_source
from deploy.project.validation.builders import STATIC_FILE_BUILDER, builder_mistakes
from deploy.project.validation.deployment import deployment_mistakes
from deploy.project.validation.diagnostics import Diagnostic, key_of
from deploy.project.validation.participants import GONE_TYPES, loopback_mistakes, participant_mistakes
from deploy.project.validation.schema_errors import validate
from deploy.project.validation.studies import study_mistakes


def load_project(path: Path) -> Project:
    """Read project.yml, strictly.

    Raises:
        InputError: with every mistake of the file, sorted by line, each `FILE:LINE: KEY: what is wrong, what
            would be right`; without a line where there is no file.
    """
    source = read_source(path)
    top, participants, mistakes = _parts(source)
    document = source.document
    mistakes += participant_mistakes(document)
    mistakes += study_mistakes(document)
    mistakes += deployment_mistakes(document)
    mistakes += loopback_mistakes(document)
    if isinstance(document.get("builders"), list):
        mistakes += builder_mistakes(document["builders"], path.absolute().parent, source.text_of)
    if source.mistakes or mistakes or top is None:
        raise InputError(_messages(source, mistakes))
    return _project(source, top, participants)


def _parts(source: Source) -> tuple[ProjectEntry | None, list[ParticipantEntry], list[Diagnostic]]:
    """Every section read on its own, so that a mistake in one leaves the others to be checked."""
    # Keys that begin with x- are a place for anchors, as in compose files; NVFlare ignores them.
    content = {key: value for key, value in source.document.items() if not key.startswith("x-")}
    top, mistakes = validate(ProjectEntry, content, (), source.text_of)
    participants: list[ParticipantEntry] = []
    listed = source.document.get("participants")
    for number, item in enumerate(listed if isinstance(listed, list) else []):
        kind = item.get("type") if isinstance(item, dict) else None
        kind = kind if isinstance(kind, str) else ""
        if not isinstance(item, dict) or kind in GONE_TYPES:
            continue  # deploy.project.validation.participants has the words for these
        entry, found = validate(
            PARTICIPANTS.get(kind, ParticipantEntry), item, ("participants", number), source.text_of
        )
        # Of a participant whose type is not known nobody can say which keys it may have.
        mistakes += [
            fault for fault in found if kind in PARTICIPANTS or fault.at[2] in ParticipantEntry.model_fields
        ]
        participants += [entry] if entry is not None else []
    return top, participants, mistakes


def _messages(source: Source, mistakes: Iterable[Diagnostic]) -> list[str]:
    readable = [mistake for mistake in mistakes if not _is_below(mistake, source)]
    lines = {
        (mistake.line or source.line_of(mistake.at), key_of(mistake.at), mistake.text): None
        for mistake in [*source.mistakes, *readable]
    }
    return [f"{source.path}:{line}: {key}{': ' if key else ''}{text}" for line, key, text in sorted(lines)]


def _is_below(mistake: Diagnostic, source: Source) -> bool:
    """Whether it only repeats that something there could not be read."""
    return any(mistake.at[:length] in source.unreadable for length in range(len(mistake.at) + 1))


def _project(source: Source, top: ProjectEntry, participants: list[ParticipantEntry]) -> Project:
    deployment = top.deployment
    server = next(entry for entry in participants if isinstance(entry, ServerEntry))
    return Project(
        path=source.path,
        name=top.name,
        description=top.description or "",
        api_version=top.api_version,
        server=_server(server, deployment),
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
        image=Image(**deployment.image.model_dump()),
        scheme=_scheme(top),
        document=source.document,
    )


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
    """The site's own values over the defaults, each value as a whole but the datasets, which add up."""
    site = deployment.sites.get(name, SiteEntry())
    own: dict[str, Any] = {**_given(deployment.defaults), **_given(site)}
    datasets = {**deployment.defaults.datasets, **site.datasets}
    own["datasets"] = {key: Dataset(claim=entry.claim, mode=entry.mode) for key, entry in datasets.items()}
    return SiteDeployment(**own)


def _given(entry: DefaultsEntry) -> dict[str, Any]:
    """What the file says, without what the schema adds to it."""
    given = entry.model_dump(include=entry.model_fields_set)
    if "resources" in given:
        given["resources"] = {part: amounts for part, amounts in given["resources"].items() if amounts}
    return given


def _scheme(top: ProjectEntry) -> str:
    arguments = next((builder.args for builder in top.builders if builder.path == STATIC_FILE_BUILDER), {})
    return StaticFilesArguments.model_validate(arguments).scheme
