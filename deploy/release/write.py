"""Write the files of one release folder: values.yaml, key-secret.yaml (0600), INSTALL.md and compose.yaml.

compose.yaml is for a host with Docker and without Kubernetes. It needs a server that other hosts can reach.

The same project.yml and kit give the same bytes, and a file with the right content is left unchanged.
"""

from __future__ import annotations

from pathlib import Path

from deploy.images.names import site_image
from deploy.release.compose import host_file, is_for_several_hosts, render
from deploy.release.participant import Participant
from deploy.release.values import values_text
from fl_app.contract import NVFLARE_VERSION
from fl_app.files import PRIVATE_FILE, PUBLIC_FILE

COMPOSE_FILE = "compose.yaml"
KEY_SECRET_FILE = "key-secret.yaml"  # noqa: S105 - a file name
"""The private key as the Secret that the chart expects, without a namespace, which the operator chooses."""


def file_texts(participant: Participant) -> dict[str, str]:
    """Return the content of each file of a participant's release folder.

    Raises:
        InputError: the public part of its kit holds a private key.
    """
    project, name = participant.project, participant.name
    has_compose = is_for_several_hosts(project)
    guide = {"participant": participant, "nvflare": NVFLARE_VERSION, "has_compose": has_compose}
    texts = {
        "values.yaml": values_text(participant),
        KEY_SECRET_FILE: render("key-secret.yaml.j2", participant=participant),
        "INSTALL.md": render("INSTALL.md.j2", **guide),
    }
    if has_compose:
        texts[COMPOSE_FILE] = host_file(project, name, image=site_image(project, name))
    return texts


def write_files(texts: dict[str, str], folder: Path, staging: Path) -> None:
    """Replace the files in `folder` whose content or mode differs, each in one step.

    An earlier compose.yaml is deleted if there is none now. One that the operator wrote is kept.

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
    outdated, header = folder / COMPOSE_FILE, f"# {folder.name} of the federation "
    if COMPOSE_FILE not in texts and outdated.is_file() and outdated.read_bytes().startswith(header.encode()):
        outdated.unlink()
