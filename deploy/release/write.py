"""Write the files of one release folder.

For the server and a site: values.yaml, the chart's package, key-secret.yaml (0600), INSTALL.md and
compose.yaml, which is for a host with Docker and without Kubernetes. It needs a server that other hosts can
reach. For an administrator: INSTALL.md.

The same project.yml and kit give the same bytes, and a file with the right content is left unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from deploy.charts import CHART_NAMES, chart_file, package_chart
from deploy.project import Project
from deploy.project.models import Admin
from deploy.release.compose import HEALTH_COMMAND, host_file, is_for_several_hosts, render
from deploy.release.participant import Participant
from deploy.release.values import values_text
from deploy.workspace_files import link_or_copy
from fl_app.contract import NVFLARE_VERSION, flarefleet_version
from fl_app.files import PRIVATE_FILE, PUBLIC_FILE

COMPOSE_FILE = "compose.yaml"
KEY_SECRET_FILE = "key-secret.yaml"  # noqa: S105 - a file name
"""The private key as the Secret that the chart expects, without a namespace, which the operator chooses."""


def file_texts(participant: Participant) -> dict[str, str]:
    """Return the content of each file of a participant's release folder.

    Raises:
        InputError: the public part of its kit holds a private key.
    """
    project = participant.project
    has_compose = is_for_several_hosts(project)
    guide = {
        "participant": participant,
        "nvflare": NVFLARE_VERSION,
        "has_compose": has_compose,
        "health": " ".join(HEALTH_COMMAND),
    }
    texts = {
        "values.yaml": values_text(participant),
        KEY_SECRET_FILE: render("key-secret.yaml.j2", participant=participant),
        "INSTALL.md": render("INSTALL.md.j2", **guide),
    }
    if has_compose:
        texts[COMPOSE_FILE] = host_file(
            project,
            participant.name,
            image=participant.container_image,
            digest=participant.container_digest,
        )
    return texts


def admin_texts(project: Project, admin: Admin) -> dict[str, str]:
    """Return the content of each file of an administrator's release folder, besides the kit."""
    wheel = f"flarefleet-{flarefleet_version()}-py3-none-any.whl"
    return {"INSTALL.md": render("INSTALL-admin.md.j2", project=project, admin=admin, wheel=wheel)}


def write_charts(folder: Path, charts: Iterable[str]) -> dict[str, Path]:
    """Write the packages of charts, and return the path of each."""
    packages = {chart: folder / chart_file(chart) for chart in charts}
    for chart, file in packages.items():
        file.write_bytes(package_chart(chart))
        file.chmod(PUBLIC_FILE)
    return packages


def write_files(texts: dict[str, str], folder: Path, staging: Path, chart: Path | None = None) -> None:
    """Replace the files in `folder` whose content or mode differs, each in one step.

    The package of the chart becomes a link to `chart`, and packages of other versions are deleted. An earlier
    compose.yaml is deleted if there is none now. One that the operator wrote is kept.

    There is no fsync, which would double the time for a thousand sites: the next run repairs a damaged file.
    """
    for name, text in texts.items():
        file, content = folder / name, text.encode()
        mode = PRIVATE_FILE if name == KEY_SECRET_FILE else PUBLIC_FILE
        if not file.exists() or file.read_bytes() != content or file.stat().st_mode & 0o777 != mode:
            new = staging / name
            new.write_bytes(content)
            new.chmod(mode)
            new.replace(file)
    if chart is not None:
        _link_chart(chart, folder, staging)
    outdated, header = folder / COMPOSE_FILE, f"# {folder.name} of the federation "
    if COMPOSE_FILE not in texts and outdated.is_file() and outdated.read_bytes().startswith(header.encode()):
        outdated.unlink()


def _link_chart(chart: Path, folder: Path, staging: Path) -> None:
    target = folder / chart.name
    if not target.exists() or target.read_bytes() != chart.read_bytes():
        new = staging / f"{chart.name}.new"
        link_or_copy(str(chart), str(new))
        new.replace(target)
    name = next(name for name in CHART_NAMES if chart_file(name) == chart.name)
    for other in folder.glob(f"{name}-*.tgz"):
        if other.name != chart.name:
            other.unlink()
