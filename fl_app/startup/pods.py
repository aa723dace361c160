"""What a parent's local/ says otherwise where jobs run in pods of their own: who launches them, who counts
their resources, and where they reach their parent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fl_app.launchers.pod_settings import STUDY_RUNTIME_FILE, LauncherSettings
from fl_app.startup.exit_codes import Exit, StartupError

LAUNCHERS = {
    "server": "fl_app.launchers.pods.ServerPodLauncher",
    "client": "fl_app.launchers.pods.ClientPodLauncher",
}
PROCESS_LAUNCHER = "process_launcher"
"""Its id in NVFlare's resources.json."""
RESOURCE_MANAGER = "resource_manager"
_JOBS = {"nvflare.apis.impl.job_def_manager.SimpleJobDefManager": "fl_app.launchers.pending_jobs.PendingJobs"}
"""NVFlare's list of jobs and the one in its place, which tells what the server's job pods wait for."""
_PASSTHROUGH = "nvflare.app_common.resource_managers.passthrough_resource_manager.PassthroughResourceManager"


class JobPods:
    """The pods of this parent's jobs, as the folder of `FLARE_JOBS` describes them.

    Raises:
        StartupError: the folder is not what the chart writes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._settings = LauncherSettings.read(folder)
            self.local_files = {STUDY_RUNTIME_FILE: (folder / STUDY_RUNTIME_FILE).read_bytes()}
            """What they add to the parent's local/: contents by name."""
        except (ValueError, OSError) as error:
            raise StartupError(Exit.CONFIGURATION, f"launcher: pod: {error}") from error

    def resources(self, document: dict[str, Any], role: str) -> dict[str, Any]:
        """resources.json with this launcher; Kubernetes knows which GPUs are free, not NVFlare.

        Who has put a resource manager or a job manager of their own in NVFlare's place keeps it.
        """
        launcher = {"id": PROCESS_LAUNCHER, "path": LAUNCHERS[role], "args": {"jobs": str(self.folder)}}
        components = []
        for component in document.get("components", []):
            if component.get("id") == PROCESS_LAUNCHER:
                continue
            if component.get("id") == RESOURCE_MANAGER and "GPUResourceManager" in component.get("path", ""):
                component = {"id": RESOURCE_MANAGER, "path": _PASSTHROUGH, "args": {}}  # noqa: PLW2901
            path = component.get("path", "")
            components.append({**component, "path": _JOBS.get(path, path)})
        return {**document, "components": [*components, launcher]}

    def communication(self, document: dict[str, Any]) -> dict[str, Any]:
        """comm_config.json in which job pods find this parent and know it by its certificate."""
        document["internal"]["resources"].update(host=self._settings.parent.host, connection_security="tls")
        return document
