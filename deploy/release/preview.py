"""Find out which files of the release folders an update would write, without writing any."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from deploy.charts import chart_file, package_chart
from deploy.project import Project
from deploy.provision import ReleaseChange
from deploy.release.compose import is_for_several_hosts
from deploy.release.participant import Participant, participants_of
from deploy.release.update import KEY, KIT, outdated_releases
from deploy.release.write import COMPOSE_FILE, KEY_SECRET_FILE, admin_texts, file_texts
from deploy.workspace import Workspace


def preview_releases(
    project: Project, workspace: Workspace, built: Collection[str]
) -> Iterator[ReleaseChange]:
    """Yield the changes of release folders.

    Args:
        built: the participants whose kit would be built: all their files would be written.
    """
    participants = participants_of(project, workspace)
    admins = {admin.name: admin for admin in project.admins}
    names = [*participants, *admins]
    kept = [name for name in names if name not in built]
    outdated = {*built, *outdated_releases(project, workspace, kept)}
    for name in (one for one in names if one in outdated):
        folder = workspace.release / name
        if name in built:
            files = _all_files(project, participants.get(name))
        elif name in admins:
            files = _differing(folder, admin_texts(project, admins[name]))
        else:
            files = _differing_of(folder, participants[name])
        if files:
            yield ReleaseChange(name=name, files=tuple(sorted(files)))


def _all_files(project: Project, participant: Participant | None) -> list[str]:
    if participant is None:  # an administrator
        return ["INSTALL.md", f"{KIT}/"]
    files = [
        "INSTALL.md",
        "values.yaml",
        KEY_SECRET_FILE,
        chart_file(participant.chart),
        f"{KIT}/",
        f"{KEY}/",
    ]
    return files + [COMPOSE_FILE] * is_for_several_hosts(project)


def _differing_of(folder: Path, participant: Participant) -> list[str]:
    texts = file_texts(participant)
    chart = chart_file(participant.chart)
    files = _differing(folder, texts)
    if _content(folder / chart) != package_chart(participant.chart):
        files.append(chart)
    if COMPOSE_FILE not in texts and (folder / COMPOSE_FILE).exists():
        files.append(COMPOSE_FILE)
    return files


def _differing(folder: Path, texts: dict[str, str]) -> list[str]:
    return [name for name, text in texts.items() if _content(folder / name) != text.encode()]


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
