"""Run NVFlare's parent: check the preconditions, hand over to NVFlare, and report why NVFlare exited."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fl_app.checks.check import require
from fl_app.checks.connectivity import wait_for_server
from fl_app.checks.credentials import load_certificates
from fl_app.checks.exit_codes import Exit, StartupError, report
from fl_app.checks.kit import Kit
from fl_app.garbage_collection import paused_for_imports
from fl_app.nvflare_internals.registration_log import is_unanswered, rejection_reason
from fl_app.nvflare_internals.site_registration import is_refusal_of_second_process
from fl_app.startup.checks import COMPONENTS, PORTS, Parent, check_preconditions, with_free_port
from fl_app.startup.installation import install_kit
from fl_app.startup.restarts import RESTART_REQUEST, SHUTDOWN_REQUEST, Restarts
from fl_app.startup.settings import Settings
from fl_app.startup.workspace import locked_workspace
from fl_app.survival.connections import keep_connected
from fl_app.survival.limits import LATE_SECONDS
from fl_app.survival.stopping import on_withdrawal
from fl_app.telemetry.endpoint import Endpoint, open_endpoint
from fl_app.telemetry.metrics import ParentIdentity, Starting

ERROR_LOG = "error_log.txt"
DUPLICATE = "the server refuses this site: another process uses this kit"
OTHER_PROCESS_SECONDS = LATE_SECONDS + 2.0


def run_parent(settings: Settings, restarts: Restarts) -> int:
    """Check the preconditions, install the kit, and run NVFlare's parent until it exits.

    Args:
        settings: settings of the parent.
        restarts: earlier restarts, for telemetry.

    Raises:
        StartupError: the parent cannot start, or NVFlare exited by itself.
    """
    parent = Parent(settings)
    check_preconditions(parent)
    kit = parent.kit
    with locked_workspace(settings.workspace):
        for request in (RESTART_REQUEST, SHUTDOWN_REQUEST):  # left by a parent that was killed
            (settings.workspace / request).unlink(missing_ok=True)
        require([PORTS], parent)
        telemetry = _open_telemetry(kit, settings)
        telemetry.restarts, telemetry.last_exit = restarts.count, restarts.last
        install_kit(kit, settings)
        with paused_for_imports():  # before the wait: the server may still be starting
            require([COMPONENTS], parent)
            run_nvflare = _load_nvflare(kit, settings.workspace)
        if kit.facts.role == "client":
            on_withdrawal(partial(_withdraw, settings))
            if restarts.waits_for_other:
                _wait_for_other(telemetry)
            _wait_for_server(parent, telemetry)
        log = settings.workspace / ERROR_LOG
        previous_size = log.stat().st_size if log.exists() else 0
        keep_connected()
        code = run_nvflare()
        return _check_exit(code, settings.workspace, previous_size, telemetry.was_ready)


def _open_telemetry(kit: Kit, settings: Settings) -> Endpoint:
    host, port = settings.telemetry_host, settings.telemetry_port
    endpoint = with_free_port(port, "of telemetry", lambda: open_endpoint(host, port, settings.push_host))
    ports = [kit.facts.server.fed_learn_port] if kit.facts.role == "server" else []
    certificates = {"own": kit.certificate, "root": kit.root_certificate}
    endpoint.identify(
        ParentIdentity(
            project=kit.facts.project,
            name=kit.facts.name,
            role=kit.facts.role,
            certificate_expiry={
                name: load_certificates(file)[0].not_valid_after_utc.timestamp()
                for name, file in certificates.items()
            },
            ports=(settings.parent_port, *ports),
        ),
        settings.workspace,
        settings.metrics_kept,
    )
    return endpoint


def _wait_for_server(parent: Parent, telemetry: Endpoint) -> None:
    def show(reason: str) -> None:
        telemetry.view = Starting(reason)

    wait_for_server(parent.identity, parent.settings.server_wait, show)
    show("registering with the server")


def _wait_for_other(telemetry: Endpoint) -> None:
    """Wait until another process with this kit, which the server prefers, would be known to be silent."""
    deadline = time.monotonic() + OTHER_PROCESS_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        telemetry.view = Starting(f"{DUPLICATE}; registering again in {left:.0f} s")
        time.sleep(min(1.0, left))


def _withdraw(settings: Settings, reason: str) -> None:
    error = StartupError(Exit.DUPLICATE, f"{DUPLICATE} ({reason})")
    os._exit(report(error, settings.termination_log))


def _load_nvflare(kit: Kit, workspace: Path) -> Callable[[], int | None]:
    """Import NVFlare's parent and return a function that runs it."""
    from nvflare.fuel.f3.mpm import MainProcessMonitor

    from fl_app.nvflare_internals.main_programs import load_parent
    from fl_app.nvflare_internals.pauses import log_in_soon, schedule_jobs_soon

    program = load_parent(kit.facts.role)
    if kit.facts.role == "server":
        from fl_app.nvflare_internals.server_credentials import load_credentials_at_start

        load_credentials_at_start()
        schedule_jobs_soon()
    else:
        log_in_soon()
    identity = [f"uid={kit.facts.name}"] if kit.facts.role == "client" else []
    options = ["secure_train=true", *identity, f"org={kit.facts.org}", "config_folder=config"]
    sys.argv = [sys.argv[0], "-m", str(workspace), "-s", kit.nvflare_file.name, "--set", *options]
    arguments = program.parse_arguments()
    return partial(MainProcessMonitor.run, main_func=program.main, run_dir=str(workspace), args=arguments)


def _check_exit(code: int | None, workspace: Path, previous_size: int, was_ready: bool = False) -> int:
    """Return 0 if an administrator stopped NVFlare; otherwise raise StartupError with the reason.

    NVFlare's exit code is None or 0 after some failures, too.

    Args:
        code: NVFlare's exit code.
        workspace: workspace of the parent.
        previous_size: size of NVFlare's error log before this start, in bytes.
        was_ready: whether the parent has been ready.
    """
    if not code and any((workspace / request).exists() for request in (SHUTDOWN_REQUEST, RESTART_REQUEST)):
        return 0
    log = workspace / ERROR_LOG
    written = log.read_bytes()[previous_size:] if log.exists() else b""
    lines = written.decode("utf-8", errors="replace").strip().splitlines()
    if reason := rejection_reason(lines):
        if is_refusal_of_second_process(reason):
            raise StartupError(Exit.DUPLICATE, f"{DUPLICATE}. Stop one of the two")
        raise StartupError(Exit.REFUSED, f"the server refused the registration of this site: {reason}")
    if is_unanswered(lines):
        raise StartupError(Exit.NO_ANSWER, "the server did not answer the registration of this site")
    last = lines[-1] if lines else "it logged no error; see the lines above"
    ended = Exit.NVFLARE_ENDED if was_ready else Exit.NVFLARE
    raise StartupError(ended, f"NVFlare exited by itself{f' (code {code})' if code else ''}: {last}")
