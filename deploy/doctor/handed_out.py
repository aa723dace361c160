"""Checks of what the operator handed out: a site's release folder, and an administrator's startup kit."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from deploy.doctor.examination import Group
from deploy.errors import Failed, InputError, MachineError
from deploy.hosts import SERVICE_NAME
from deploy.release.compose import LABEL_PROJECT
from deploy.secret_files import has_secret_name
from fl_app.checks import connectivity, credentials
from fl_app.checks.check import Category, Check, NotApplicable, Severity
from fl_app.checks.kit import Identity, Kit
from fl_app.checks.machine import CLOCK, DISK_SPACE
from fl_app.contract import CONTAINER_UID, LABEL_SITE

VALUES = ("values.yaml", "own.yaml")
ADMIN_FILES = ("fed_admin.json", "client.crt", "client.key", "rootCA.pem")


@dataclass(frozen=True)
class SiteRelease:
    """The release folder of a server or site."""

    folder: Path

    @cached_property
    def kit(self) -> Kit:
        """Its kit. See `Kit.open` for errors."""
        return Kit.open(self.folder / "kit", self.folder / "key")

    @cached_property
    def identity(self) -> Identity:
        """What identifies it, with the server's address in the values, if they have one."""
        return self.kit.identity(self._address())

    def _address(self) -> tuple[str, int] | None:
        address = None
        for file in (self.folder / name for name in VALUES):
            if file.is_file():
                try:
                    values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
                    address = values.get("server", {}).get("address") or address
                except (yaml.YAMLError, AttributeError, UnicodeDecodeError) as error:
                    raise InputError(f"{file}: is not valid YAML: {error}") from error
        host, _, port = (address or "").rpartition(":")
        return (host.strip("[]"), int(port)) if host and port.isdigit() else None


@dataclass(frozen=True)
class AdminFolder:
    """The startup kit of an administrator."""

    folder: Path

    @cached_property
    def identity(self) -> Identity:
        """What identifies the administrator.

        Raises:
            InputError: a file is missing or invalid.
        """
        startup = self.folder / "startup"
        if missing := [name for name in ADMIN_FILES if not (startup / name).is_file()]:
            raise InputError(
                f"{self.folder} is not a complete startup kit of an administrator: {startup / missing[0]} is "
                "missing. Ask the operator of the server for the kit again"
            )
        file = startup / ADMIN_FILES[0]
        try:
            admin: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["admin"]
            return Identity(
                name=str(admin["username"]),
                certificate=startup / "client.crt",
                root_certificate=startup / "rootCA.pem",
                key=startup / "client.key",
                server=str(admin.get("server_identity", "")),
                address=(str(admin["host"]), int(admin["port"])),
                scheme=str(admin.get("scheme", "grpc")),
                security=str(admin.get("connection_security", "mtls")),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file} is invalid ({error!r}). Ask the operator for the kit again") from error


def site_groups(folder: Path) -> Iterator[Group]:
    """Yield the groups of checks of a site, from its release folder alone."""
    release = SiteRelease(folder)
    yield Group(RELEASE, lambda: release)
    yield from _identity_groups(release, RELEASE[0].name)
    yield Group([DISK_SPACE], lambda: folder)
    yield Group([CLOCK], lambda: None)
    yield Group(SITE, lambda: release, needs=RELEASE[0].name)


def admin_groups(folder: Path) -> Iterator[Group]:
    """Yield the groups of checks of an administrator, from the startup kit alone."""
    kit = AdminFolder(folder)
    yield Group(ADMIN, lambda: kit)
    yield from _identity_groups(kit, ADMIN[0].name)
    yield Group([CLOCK], lambda: None)


def is_release(folder: Path) -> bool:
    """Return whether a folder is a release folder."""
    return (folder / "kit" / "local" / "flarefleet.json").is_file()


def _identity_groups(subject: SiteRelease | AdminFolder, needs: str) -> Iterator[Group]:
    key, *others = credentials.CHECKS
    yield Group([key], lambda: _with_key(subject.identity), needs)
    yield Group([*others, credentials.EXPIRY], lambda: subject.identity, needs)
    is_server = isinstance(subject, SiteRelease) and (subject.folder / "key" / "server.key").exists()
    if not is_server:
        yield Group(connectivity.CHECKS, lambda: _reachable(subject.identity), needs)


def _with_key(identity: Identity) -> Identity:
    """Return the identity if this user has its key; INSTALL.md gives the key to the container's user."""
    key = identity.key
    if not key.exists():
        raise InputError(f"{key} is missing. Ask the operator of the server for the folder again")
    if key.stat().st_uid == CONTAINER_UID and not os.access(key, os.R_OK):
        raise NotApplicable(f"only the container may read {key}, as user {CONTAINER_UID}; it checks the key")
    return identity


def _reachable(identity: Identity) -> Identity:
    """Return the identity if this machine can look up its server."""
    host, _ = identity.address
    if SERVICE_NAME.fullmatch(host):
        raise NotApplicable(f"{host} is known only in its own cluster; there, helm test checks it")
    return identity


def _check_release(release: SiteRelease) -> str:
    if not is_release(release.folder):
        raise InputError(
            f"{release.folder} is not a release folder: kit/local/flarefleet.json is missing. Use the folder "
            "that the operator of the server handed to you"
        )
    facts = release.kit.facts
    return f"the kit of {facts.name} ({facts.role}) in {facts.project}, for NVFlare {facts.nvflare}"


def _check_key_files(release: SiteRelease) -> str:
    return _private([*release.folder.glob("*secret*.yaml"), *(release.folder / "key").glob("*")])


def _check_admin_kit(kit: AdminFolder) -> str:
    host, port = kit.identity.address
    return f"the kit of {kit.identity.name}, for the server {host}:{port}"


def _check_admin_key(kit: AdminFolder) -> str:
    return _private([file for file in (kit.folder / "startup").iterdir() if has_secret_name(file)])


def _private(files: list[Path]) -> str:
    for file in files:
        if file.stat().st_mode & 0o077:
            raise Failed(f"other users may read {file}. Restrict it: chmod 600 {file}")
    return ", ".join(file.name for file in files) or "no secret in this folder"


def _check_programs(release: SiteRelease) -> str:
    from deploy.runtimes.docker.program import find_compose

    found = []
    if shutil.which("helm") and shutil.which("kubectl"):
        found.append("helm and kubectl")
    if (release.folder / "compose.yaml").is_file():
        try:
            found.append(" ".join(find_compose().command))
        except MachineError as error:
            if not found:
                raise MachineError(f"neither helm and kubectl nor Docker Compose is here. {error}") from error
    if not found:
        raise MachineError("helm and kubectl are not on PATH. Install them, or run this where they are")
    return ", ".join(found)


def _check_container(release: SiteRelease) -> str:
    from deploy.docker_engine import connect
    from deploy.runtimes.docker.observation import observe

    name, project = release.kit.facts.name, release.kit.facts.project
    try:
        client = connect()
    except MachineError as error:
        raise NotApplicable("no Docker engine answers here; for a cluster: helm test") from error
    labels = [f"{LABEL_SITE}={name}", f"{LABEL_PROJECT}={project}"]
    found = client.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
    if not found:
        raise NotApplicable(f"no container of {name} here; for a cluster: helm test")
    status = observe(found[0])
    if status.state != "ready":
        raise Failed(f"{name} is {status.state.value}: {status.reason}. See: docker logs {found[0].name}")
    return f"{name} is ready in {status.where}"


RELEASE: tuple[Check[SiteRelease], ...] = (
    Check(
        "release-folder",
        Category.KIT,
        "The release folder holds a complete kit.",
        "Ask the operator of the server for the folder again, and keep its files together.",
        _check_release,
        is_fatal=True,
    ),
    Check(
        "key-files",
        Category.KIT,
        "Only this user may read the private key and its Secret.",
        "`chmod 600 FILE`. If others could read it for long, ask the operator for a new key.",
        _check_key_files,
    ),
)
ADMIN: tuple[Check[AdminFolder], ...] = (
    Check(
        "admin-kit",
        Category.KIT,
        "The folder is a complete startup kit of an administrator.",
        "Ask the operator of the server for the kit again: the folder with `startup/` and `local/`.",
        _check_admin_kit,
        is_fatal=True,
    ),
    Check(
        "admin-key",
        Category.KIT,
        "Only this user may read the private key.",
        "`chmod 600 FILE`. If others could read it for long, ask the operator for a new key.",
        _check_admin_key,
    ),
)
SITE: tuple[Check[SiteRelease], ...] = (
    Check(
        "site-programs",
        Category.MACHINE,
        "The programs of INSTALL.md are on this machine: helm and kubectl, or Docker Compose.",
        "Install what INSTALL.md names.",
        _check_programs,
        Severity.WARNING,
    ),
    Check(
        "site-ready",
        Category.FEDERATION,
        "The container of the site on this machine is ready.",
        "See the reason in the message, then the log of the container.",
        _check_container,
        deadline=20.0,
    ),
)
