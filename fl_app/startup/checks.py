"""The checks that only a parent makes, beside those of `fl_app.checks`: NVFlare, workspace, ports."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from fl_app.checks.check import Category, Check, require
from fl_app.checks.credentials import CHECKS as CREDENTIALS
from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.checks.kit import Identity, Kit, check_version
from fl_app.checks.machine import DISK_SPACE
from fl_app.contract import installed_version
from fl_app.nvflare_internals.self_check import installed_root, missing_names
from fl_app.startup.components import check_components
from fl_app.startup.settings import Settings
from fl_app.startup.workspace import prepare_workspace
from fl_app.tracking.receivers import TrackingSettingsError, requested_receivers

_T = TypeVar("_T")

PORT_WAIT_SECONDS = 8.0
"""How long a predecessor may take to release its ports: it has five seconds to stop."""


@dataclass(frozen=True)
class Parent:
    """A parent that is about to start."""

    settings: Settings

    @cached_property
    def kit(self) -> Kit:
        """Its kit. See `Kit.open` for errors."""
        return Kit.open(self.settings.kit, self.settings.key)

    @cached_property
    def identity(self) -> Identity:
        """What identifies it, with the address at which it reaches the server."""
        return self.kit.identity(self.settings.server_address)


def check_preconditions(parent: Parent) -> None:
    """Make the checks that need no lock of the workspace, and create the workspace.

    Raises:
        StartupError: the reason of the first check that fails.
    """
    require(BEFORE, parent)
    require(CREDENTIALS, parent.identity)
    require(WORKSPACE, parent)
    require([DISK_SPACE], parent.settings.workspace)


def check_nvflare(_: Parent | None = None) -> None:
    """Check that the installed NVFlare has every private name that Flarefleet uses.

    Raises:
        StartupError: a name is missing.
    """
    if missing := missing_names(installed_root()):
        names = "; ".join(f"{one.name} ({one.purpose})" for one in missing)
        raise StartupError(
            Exit.INCOMPATIBLE,
            f"the installed NVFlare {installed_version('nvflare')} lacks private names that Flarefleet uses: "
            f"{names}. "
            "Install an unmodified NVFlare of the kit's release",
        )


def with_free_port(port: int, purpose: str, listen: Callable[[], _T]) -> _T:
    """Return the result of `listen`. Repeat it while the port is in use: a predecessor may be exiting.

    Raises:
        StartupError: the port is still in use after PORT_WAIT_SECONDS, or this process may not use it.
    """
    deadline = time.monotonic() + PORT_WAIT_SECONDS
    while True:
        try:
            return listen()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise _port_error(port, purpose, error) from error
        time.sleep(0.1)


def _open_kit(parent: Parent) -> str:
    return f"{parent.kit.folder} is the kit of {parent.kit.facts.name}"


def _check_version(parent: Parent) -> None:
    check_version(parent.kit.facts)


def _check_tracking(parent: Parent) -> None:
    if parent.kit.facts.role != "server":
        return
    try:
        requested_receivers(os.environ)
    except TrackingSettingsError as error:
        raise StartupError(Exit.SETTINGS, str(error)) from error


def _prepare_workspace(parent: Parent) -> None:
    prepare_workspace(parent.settings.workspace)


def _check_components(parent: Parent) -> None:
    check_components(parent.settings.workspace)


def _check_ports(parent: Parent) -> None:
    _check_port_free(parent.settings.parent_port, "of the parent for its jobs")
    if parent.kit.facts.role == "server":
        server = parent.kit.facts.server
        _check_port_free(server.fed_learn_port, "of the federation")
        if server.admin_port != server.fed_learn_port:
            _check_port_free(server.admin_port, "of administration")


def _check_port_free(port: int, purpose: str) -> None:
    """Check that this process can listen on `port`: NVFlare would wait forever for a port that is in use."""

    def listen() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore closed connections
            probe.bind(("", port))
            probe.listen(1)

    with_free_port(port, purpose, listen)


def _port_error(port: int, purpose: str, error: OSError) -> StartupError:
    reason = (error.strerror or str(error)).lower()
    return StartupError(
        Exit.PORT,
        f"cannot listen on port {port} ({purpose}): {reason}. "
        "Stop the process that uses it, or choose another port",
    )


BEFORE: tuple[Check[Parent], ...] = (
    Check(
        "kit",
        Category.KIT,
        "The startup kit is complete and readable, and Flarefleet made it.",
        "Install the complete kit again: `startup/` and `local/` of one kit.",
        _open_kit,
        is_fatal=True,
    ),
    Check(
        "nvflare-version",
        Category.PARENT,
        "The installed NVFlare is the release that the kit was made for.",
        "Use the image of the release that made the kit, or provision again with this one.",
        _check_version,
    ),
    Check(
        "nvflare-names",
        Category.PARENT,
        "The installed NVFlare has every private name that Flarefleet uses.",
        "Install an unmodified NVFlare of the kit's release.",
        check_nvflare,
    ),
)
WORKSPACE = (
    Check(
        "tracking-settings",
        Category.PARENT,
        "The trackers that the server forwards to are known and their settings are complete (server).",
        "Correct `deployment.tracking` in project.yml, or `tracking` in the values of the chart.",
        _check_tracking,
    ),
    Check(
        "workspace",
        Category.PARENT,
        "The workspace is writable.",
        "Change its owner to the user of the parent (10001 in containers), or mount a volume there.",
        _prepare_workspace,
    ),
)
PORTS = Check(
    "ports",
    Category.PARENT,
    "The ports of the parent are free.",
    "Stop the process that uses the port, or choose another port.",
    _check_ports,
    deadline=PORT_WAIT_SECONDS,
)
COMPONENTS = Check(
    "components",
    Category.PARENT,
    "Every component that a file in `local/` names can be imported.",
    "Correct the file that the message names, or install the package in the image.",
    _check_components,
    deadline=60.0,
)
