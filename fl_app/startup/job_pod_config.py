"""Changes to a parent's local/ for job pods: launcher, resource manager, and the parent's address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.launchers.pod_settings import STUDY_RUNTIME_FILE, LauncherSettings

LAUNCHERS = {
    "server": "fl_app.launchers.pods.ServerPodLauncher",
    "client": "fl_app.launchers.pods.ClientPodLauncher",
}
PROCESS_LAUNCHER = "process_launcher"
"""Component id in NVFlare's resources.json."""
RESOURCE_MANAGER = "resource_manager"
_JOB_MANAGERS = dict.fromkeys(
    ("fl_app.survival.job_manager.JobManager", "nvflare.apis.impl.job_def_manager.SimpleJobDefManager"),
    "fl_app.launchers.pending_jobs.PendingJobs",
)
"""The job managers of kits, also of earlier ones, and the one that reports pending pods of the server."""
_PASSTHROUGH = "nvflare.app_common.resource_managers.passthrough_resource_manager.PassthroughResourceManager"


class JobPodConfig:
    """The configuration of job pods in the folder of `FLARE_JOBS`.

    Raises:
        StartupError: the folder does not contain what the chart writes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._settings = LauncherSettings.read(folder)
            self.local_files = {STUDY_RUNTIME_FILE: (folder / STUDY_RUNTIME_FILE).read_bytes()}
            """Files to add to the parent's local/: contents by name."""
        except (ValueError, OSError) as error:
            raise StartupError(Exit.CONFIGURATION, f"launcher: pod: {error}") from error

    def resources(self, document: dict[str, Any], role: str) -> dict[str, Any]:
        """Return resources.json with the pod launcher, and without NVFlare's own count of GPUs.

        A site's own resource manager or job manager is kept.
        """
        launcher = {"id": PROCESS_LAUNCHER, "path": LAUNCHERS[role], "args": {"jobs": str(self.folder)}}
        components = []
        for component in document.get("components", []):
            if component.get("id") == PROCESS_LAUNCHER:
                continue
            if component.get("id") == RESOURCE_MANAGER and "GPUResourceManager" in component.get("path", ""):
                component = {"id": RESOURCE_MANAGER, "path": _PASSTHROUGH, "args": {}}  # noqa: PLW2901
            path = component.get("path", "")
            components.append({**component, "path": _JOB_MANAGERS.get(path, path)})
        return {**document, "components": [*components, launcher]}

    def communication(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return comm_config.json with the address at which job pods reach this parent, over TLS."""
        document["internal"]["resources"].update(host=self._settings.parent.host, connection_security="tls")
        return document
