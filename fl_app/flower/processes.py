"""Flower's processes under NVFlare: the SuperLink on the server and a SuperNode at each site."""

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
from nvflare.app_opt.flower.applet import FLOWER_CLI, FLOWER_SUPERLINK_CONNECTION, FlowerClientApplet

from fl_app.flower.environment import flower_environment
from fl_app.nvflare_internals.flower import SuperLinkWithCallbacks

SERVER_APP_LOG = "server_app_log.txt"
LOG_TIMEOUT = 30.0
"""Seconds within which the SuperLink must return the log of a ServerApp."""


class SuperLink(SuperLinkWithCallbacks):
    """The SuperLink and its ServerApp.

    Args:
        app: Python package whose folder is the Flower app.
        applet: arguments of NVFlare's applet.
    """

    def __init__(self, app: str, **applet: Any) -> None:
        super().__init__(**applet)
        self._app = app
        self._environment: dict[str, str] = {}

    def start(self, app_ctx: dict[str, Any]) -> None:
        """Copy the app into the job's folder, where NVFlare runs it, and start."""
        fl_ctx = app_ctx[TieConstant.APP_CTX_FL_CONTEXT]
        workspace = fl_ctx.get_engine().get_workspace()
        # MetricRelay writes the address for a ServerApp's metrics into this file.
        bootstrap = Path(workspace.get_app_config_dir(fl_ctx.get_job_id()), ANALYTICS_BOOTSTRAP_FILE)
        self._environment = {
            **flower_environment(_run_folder(app_ctx)),
            ANALYTICS_BOOTSTRAP_ENV: str(bootstrap),
        }
        shutil.copytree(
            app_folder(self._app),
            workspace.get_app_custom_dir(fl_ctx.get_job_id()),
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
        super().start(app_ctx)

    def extra_environment(self) -> dict[str, str]:
        """Return the variables of Flower's processes."""
        return self._environment

    def wrap_command(self, command: CommandDescriptor) -> CommandDescriptor:
        """Run the SuperLink under the child reaper."""
        return _under_child_reaper(command)

    def on_run_finished(self) -> None:
        """Store the log of the ServerApp while the SuperLink still has it."""
        flwr = Path(sys.executable).with_name(FLOWER_CLI)
        with (
            (Path(self.flwr_home_dir).parent / SERVER_APP_LOG).open("wb") as log,
            suppress(subprocess.TimeoutExpired),
        ):
            subprocess.run(
                [flwr, "log", str(self.run_id), FLOWER_SUPERLINK_CONNECTION, "--show"],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.cli_environment()},
                timeout=LOG_TIMEOUT,
                check=False,
            )


class SuperNode(FlowerClientApplet):
    """A SuperNode and its ClientApps."""

    def get_command(self, ctx: dict[str, Any]) -> CommandDescriptor:
        """Return NVFlare's command, under the child reaper."""
        command = super().get_command(ctx)
        command.env.update(flower_environment(_run_folder(ctx)))
        return _under_child_reaper(command)


def app_folder(package: str) -> Path:
    """Return the folder of a Python package, which holds a Flower app.

    Raises:
        ModuleNotFoundError: the package does not exist.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no package {package}")
    return Path(spec.origin).parent


def _under_child_reaper(command: CommandDescriptor) -> CommandDescriptor:
    reaper = [sys.executable, "-m", "fl_app.flower.child_reaper", str(os.getpid())]
    command.cmd = shlex.join([*reaper, *shlex.split(command.cmd)])
    return command


def _run_folder(app_ctx: dict[str, Any]) -> Path:
    fl_ctx = app_ctx[TieConstant.APP_CTX_FL_CONTEXT]
    return Path(fl_ctx.get_engine().get_workspace().get_run_dir(fl_ctx.get_job_id()))
