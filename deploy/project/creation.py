"""Create a project.yml from a few answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from deploy.checkout import PROJECT_SCHEMA
from deploy.errors import InputError
from deploy.hosts import is_host
from deploy.project.load import load_project
from deploy.project.schema import DEFAULT_BUILDERS
from deploy.project.validation.names import admin_name_error, project_name_error, site_name_error
from fl_app.contract import FEDERATION_PORT
from fl_app.files import write_atomically
from fl_app.temporary_folders import temporary_folder

SERVER = "flare-server"
ORG = "consortium"
"""Organization of the server and of the administrators."""

_TEMPLATE = """\
# yaml-language-server: $schema={schema}
# Validate this file with `flarefleet check`. An editor with a YAML language server explains every key.
api_version: 3
name: {name}  # the folder in the workspace, and the name in certificates and logs

participants:
  # The server. Every site connects to default_host; the server connects to no site.
  - {{name: {server}, type: server, org: {org}, default_host: {host}, fed_learn_port: {port}}}
  # The sites. For a new one, add a line and run `flarefleet provision`: the other kits do not change.
{sites}
  # The administrators. Roles: project_admin (everything), lead (submits jobs), org_admin (operates the
  # sites of its organization), member (read-only).
{admins}

deployment:
  image: {{variant: cpu}}  # gpu for images with CUDA; registry: HOST/PATH to push them
  defaults: {{}}  # settings of the server and of every site, such as storage, resources, datasets
  sites: {{}}  # settings of one of them, such as {first_site}: {{gpus: 1}}
"""


@dataclass(frozen=True)
class Answers:
    """What a new project.yml says."""

    name: str
    host: str
    port: int
    sites: tuple[str, ...]
    admins: tuple[str, ...]
    """E-mail addresses. The first is of a project_admin, the others are of leads."""


def read_name(text: str) -> str:
    """Return the name of a federation.

    Raises:
        InputError: the name is invalid.
    """
    return _valid(text, project_name_error(text))


def read_server(text: str) -> tuple[str, int]:
    """Return host and port of HOST[:PORT].

    Raises:
        InputError: the host or the port is invalid.
    """
    host, _, port = text.partition(":")
    number = int(port) if re.fullmatch(r"[0-9]{1,5}", port) else 0 if ":" in text else FEDERATION_PORT
    if not is_host(host) or not 1 <= number <= 65535:
        raise InputError(f"{text}: must be HOST or HOST:PORT, such as flare.example.org:{FEDERATION_PORT}")
    return host, number


def read_site(text: str) -> str:
    """Return the name of a site.

    Raises:
        InputError: the name is invalid.
    """
    return _valid(text, site_name_error(text))


def read_admin(text: str) -> str:
    """Return the e-mail address of an administrator.

    Raises:
        InputError: the address is invalid.
    """
    return _valid(text, admin_name_error(text))


def create_project(answers: Answers, file: Path, *, builders: bool = False) -> None:
    """Write project.yml, and beside it the JSON schema for editors.

    Args:
        builders: also write the builders, which `nvflare provision` requires.

    Raises:
        InputError: the file exists, or the answers contradict each other, such as a name given twice.
    """
    if file.exists():
        raise InputError(f"{file}: already exists; choose another file: --output FILE")
    text = project_text(answers, builders=builders)
    with temporary_folder("flarefleet-project-") as folder:
        draft = folder / "project.yml"
        draft.write_text(text, encoding="utf-8")
        try:
            load_project(draft)
        except InputError as error:
            raise InputError([re.sub(r"^.*?:\d+: ", "", message) for message in error.messages]) from None
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file.parent / PROJECT_SCHEMA.name, PROJECT_SCHEMA.read_bytes())
    write_atomically(file, text.encode())


def project_text(answers: Answers, *, builders: bool = False) -> str:
    """Return the content of project.yml."""
    first, *others = answers.admins
    roles = {first: "project_admin"} | dict.fromkeys(others, "lead")
    text = _TEMPLATE.format(
        schema=PROJECT_SCHEMA.name,
        name=_scalar(answers.name),
        server=SERVER,
        org=ORG,
        host=_scalar(answers.host),
        port=answers.port,
        sites="\n".join(
            f"  - {{name: {_scalar(site)}, type: client, org: {_scalar(site.replace('-', '_'))}}}"
            for site in answers.sites
        ),
        admins="\n".join(
            f"  - {{name: {_scalar(admin)}, type: admin, org: {ORG}, role: {roles[admin]}}}"
            for admin in answers.admins
        ),
        first_site=answers.sites[0],
    )
    if not builders:
        return text
    listed = [builder.model_dump(exclude_unset=True) for builder in DEFAULT_BUILDERS]
    section = yaml.safe_dump({"builders": listed}, sort_keys=False)
    return f"{text}\n# NVFlare's builders of startup kits.\n{section}"


def _valid(text: str, error: str | None) -> str:
    if error is not None:
        raise InputError(f"{text}: {error}")
    return text


def _scalar(text: str) -> str:
    """Return the text as a YAML scalar, in quotes if YAML would read another value, such as `no` or `12`."""
    try:
        return text if yaml.safe_load(text) == text else json.dumps(text)
    except yaml.YAMLError:
        return json.dumps(text)
