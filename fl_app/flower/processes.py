"""Flower's own processes under NVFlare: the SuperLink at the server, a SuperNode at each site."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nvflare.app_common.metrics_exchange.metrics_sender import (
    ANALYTICS_BOOTSTRAP_ENV,
    ANALYTICS_BOOTSTRAP_FILE,
)
from nvflare.app_common.tie.defs import Constant as TieConstant
from nvflare.app_common.tie.process_mgr import CommandDescriptor
from nvflare.app_opt.flower.applet import (
    FLOWER_CLI,
    FLOWER_SUPERLINK_CONNECTION,
    FlowerClientApplet,
    FlowerServerApplet,
)

from fl_app.flower.environment import environment

SERVER_APP_LOG = "server_app_log.txt"
LOG_WITHIN = 30.0
"""Seconds in which the SuperLink has handed out a ServerApp's log."""


class SuperLink(FlowerServerApplet):
    """The SuperLink and its ServerApp.

    Args:
        app: the Python package whose folder is the Flower app, as `flwr run` takes it.
        applet: what else NVFlare's applet takes.
    """

    def __init__(self, app: str, **applet: Any) -> None:
        super().__init__(**applet)
        self._app = app
        self._environment: dict[str, str] = {}

    def start(self, app_ctx: dict[str, Any]) -> None:
        """Lay the app out where NVFlare runs apps from, and start."""
        folder = _run_folder(app_ctx)
        self._environment = environment(folder)
        fl_ctx = app_ctx[TieConstant.APP_CTX_FL_CONTEXT]
        workspace = fl_ctx.get_engine().get_workspace()
        # Where the server's MetricRelay says how a ServerApp's metrics reach it.
        self._environment[ANALYTICS_BOOTSTRAP_ENV] = str(
            Path(workspace.get_app_config_dir(fl_ctx.get_job_id()), ANALYTICS_BOOTSTRAP_FILE)
        )
        shutil.copytree(
            app_folder(self._app),
            workspace.get_app_custom_dir(fl_ctx.get_job_id()),
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
        super().start(app_ctx)

    def _query_for_run_status(self) -> tuple[bool, int]:
        """Fetch the ServerApp's log while the SuperLink that keeps it is still there."""
        stopped, code = super()._query_for_run_status()
        if stopped:
            self._keep_log()
        return stopped, code

    def _keep_log(self) -> None:
        command = [
            Path(sys.executable).with_name(FLOWER_CLI),
            "log",
            str(self.run_id),
            FLOWER_SUPERLINK_CONNECTION,
        ]
        with (
            (Path(self.flwr_home_dir).parent / SERVER_APP_LOG).open("wb") as log,
            suppress(subprocess.TimeoutExpired),
        ):
            subprocess.run(
                [*command, "--show"],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._build_flower_env(include_flwr_home=True)},
                timeout=LOG_WITHIN,
                check=False,
            )

    def _build_flower_env(self, include_flwr_home: bool) -> dict[str, str]:
        return {**(super()._build_flower_env(include_flwr_home) or {}), **self._environment}

    def _start_process(self, name: str, cmd_desc: CommandDescriptor, fl_ctx: Any) -> Any:
        return super()._start_process(name, _tethered(cmd_desc), fl_ctx)


class SuperNode(FlowerClientApplet):
    """A SuperNode and its ClientApps."""

    def get_command(self, ctx: dict[str, Any]) -> CommandDescriptor:
        """NVFlare's command, which leaves nothing behind."""
        descriptor = super().get_command(ctx)
        descriptor.env.update(environment(_run_folder(ctx)))
        return _tethered(descriptor)


def app_folder(package: str) -> Path:
    """The folder of a Python package, which holds a Flower app.

    Raises:
        ModuleNotFoundError: there is no such package.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no package {package}")
    return Path(spec.origin).parent


def _tethered(descriptor: CommandDescriptor) -> CommandDescriptor:
    command = [sys.executable, "-m", "fl_app.flower.tether", str(os.getpid()), *shlex.split(descriptor.cmd)]
    descriptor.cmd = shlex.join(command)
    return descriptor


def _run_folder(app_ctx: dict[str, Any]) -> Path:
    fl_ctx = app_ctx[TieConstant.APP_CTX_FL_CONTEXT]
    return Path(fl_ctx.get_engine().get_workspace().get_run_dir(fl_ctx.get_job_id()))
