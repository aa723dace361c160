"""Becoming NVFlare's parent: prepare, then hand over, and say why NVFlare ended if nobody asked it to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fl_app.startup.components import check_components
from fl_app.startup.connectivity import server_address, wait_for_server
from fl_app.startup.credentials import check_credentials, load_certificates
from fl_app.startup.error_log import ErrorLog
from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.kit import Kit
from fl_app.startup.layout import lay_out
from fl_app.startup.loading import loading
from fl_app.startup.ports import check_port_free, port_error
from fl_app.startup.settings import Settings
from fl_app.startup.workspace import check_room, occupy
from fl_app.telemetry.endpoint import Endpoint, open_endpoint
from fl_app.telemetry.metrics import Identity
from fl_app.telemetry.view import Starting
from fl_app.tracking.receivers import TrackingSettingsError, requested_receivers

RESTART_REQUEST = "restart.fl"
SHUTDOWN_REQUEST = "shutdown.fl"
"""NVFlare leaves these in the workspace when an administrator asks for one or the other."""


def run_parent(settings: Settings) -> int:
    """Check everything, lay the workspace out, run NVFlare's parent until it ends.

    Raises:
        StartupError: it cannot start, or NVFlare ended by itself.
    """
    kit = Kit.open(settings.kit, settings.key)
    check_credentials(kit)
    if kit.facts.role == "server":
        _check_tracking()
    check_room(settings.workspace)
    occupy(settings.workspace)
    _check_ports(kit, settings)
    telemetry = _open_telemetry(kit, settings)
    lay_out(kit, settings)
    with loading():  # while the server may still be starting
        check_components(settings.workspace)
        run_nvflare = _nvflare(kit, settings.workspace)
    if kit.facts.role == "client":
        _wait_for_server(kit, settings, telemetry)
    errors = ErrorLog(settings.workspace)
    return _judge(run_nvflare(), settings.workspace, errors)


def starts_again(workspace: Path) -> bool:
    """Whether an administrator asked for a restart; asking takes the request away."""
    request = workspace / RESTART_REQUEST
    if not request.exists():
        return False
    request.unlink()
    return True


def _check_tracking() -> None:
    try:
        requested_receivers(os.environ)
    except TrackingSettingsError as error:
        raise StartupError(Exit.SETTINGS, str(error)) from error


def _check_ports(kit: Kit, settings: Settings) -> None:
    check_port_free(settings.parent_port, "of the parent for its jobs")
    if kit.facts.role == "server":
        server = kit.facts.server
        check_port_free(server.fed_learn_port, "of the federation")
        if server.admin_port != server.fed_learn_port:
            check_port_free(server.admin_port, "of administration")


def _open_telemetry(kit: Kit, settings: Settings) -> Endpoint:
    try:
        endpoint = open_endpoint(settings.telemetry_host, settings.telemetry_port, settings.push_host)
    except OSError as error:
        raise port_error(settings.telemetry_port, "of telemetry", error) from error
    certificates = {"own": kit.certificate, "root": kit.root_certificate}
    endpoint.identify(
        Identity(
            project=kit.facts.project,
            name=kit.facts.name,
            role=kit.facts.role,
            certificate_expiry={
                name: load_certificates(file)[0].not_valid_after_utc.timestamp()
                for name, file in certificates.items()
            },
            federation_port=kit.facts.server.fed_learn_port if kit.facts.role == "server" else None,
        ),
        settings.workspace,
        settings.metrics_kept,
    )
    return endpoint


def _wait_for_server(kit: Kit, settings: Settings, telemetry: Endpoint) -> None:
    def waiting(reason: str) -> None:
        telemetry.view = Starting(reason)

    wait_for_server(kit, server_address(kit, settings.server_address), settings.server_wait, waiting)
    telemetry.view = Starting("it registers with the server")


def _nvflare(kit: Kit, workspace: Path) -> Callable[[], int | None]:
    """NVFlare's own main of a parent, ready to be called."""
    from nvflare.fuel.f3.mpm import MainProcessMonitor
    from nvflare.private.fed.app.utils import version_check

    if kit.facts.role == "server":
        from nvflare.private.fed.app.server.server_train import main, parse_arguments

        identity = []
    else:
        from nvflare.private.fed.app.client.client_train import main, parse_arguments

        identity = [f"uid={kit.facts.name}"]
    version_check()
    options = ["secure_train=true", *identity, f"org={kit.facts.org}", "config_folder=config"]
    sys.argv = [sys.argv[0], "-m", str(workspace), "-s", kit.nvflare_file.name, "--set", *options]
    return partial(MainProcessMonitor.run, main_func=main, run_dir=str(workspace), args=parse_arguments())


def _judge(code: int | None, workspace: Path, errors: ErrorLog) -> int:
    """NVFlare's exit code; it is None or 0 after some failures too."""
    if not code and any((workspace / request).exists() for request in (SHUTDOWN_REQUEST, RESTART_REQUEST)):
        return 0
    if refused := errors.refusal():
        raise StartupError(Exit.REFUSED, f"the server refuses the registration of this site: {refused}")
    if errors.lacks_an_answer():
        raise StartupError(Exit.NO_ANSWER, "the server does not answer the registration of this site")
    raise StartupError(
        Exit.NVFLARE, f"NVFlare ended by itself{f' (code {code})' if code else ''}: {errors.last()}"
    )
