"""The launchers of a parent with `launcher: pod`: NVFlare's, but a pod comes from the site's template, waits
as long as it must, fails only for good, and leaves nothing behind.

They are built in job processes, too, where they do nothing: all that they need is read at the first launch.
"""

from __future__ import annotations

import os
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, JobConstants, ProcessType, WorkspaceConstants
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import JobMetaKey
from nvflare.apis.job_launcher_spec import JobHandleSpec
from nvflare.apis.workspace import Workspace
from nvflare.app_opt.job_launcher.k8s_launcher import (
    ClientK8sJobLauncher,
    K8sJobLauncher,
    ServerK8sJobLauncher,
    job_pod_name,
    uuid4_to_rfc1123,
)
from nvflare.app_opt.job_launcher.workspace_cell_transfer import (
    ENV_WORKSPACE_OWNER_FQCN,
    ENV_WORKSPACE_TRANSFER_TOKEN,
    WorkspaceTransferManager,
)
from nvflare.utils.job_launcher_utils import get_credential_env

from fl_app.launchers.cluster import Cluster
from fl_app.launchers.job_pod import JobPod, Reports, job_pods
from fl_app.launchers.manifest import JobPodPlan, Need, pod_manifest, public_startup, secret_manifest
from fl_app.launchers.pending_pods import tell_server
from fl_app.launchers.pod_failure import Patience
from fl_app.launchers.pod_settings import LauncherSettings
from fl_app.telemetry.access import push_environment
from fl_app.telemetry.pods import show_job_pods

_PARENTS = (ProcessType.SERVER_PARENT, ProcessType.CLIENT_PARENT)


class _PodLauncher(K8sJobLauncher):
    """Starts each job in a pod of its own.

    Args:
        jobs: the folder with launcher.yaml; study_runtime.yaml lies in the workspace's local/.
    """

    role: str
    door: str
    """The program of a job's pod."""

    def __init__(self, jobs: str) -> None:
        super().__init__(config_file_path="")
        self._jobs = Path(jobs)
        self._ready = threading.Lock()
        self._cluster: Cluster | None = None

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Besides what NVFlare does: be ready for the first job as soon as the parent runs."""
        super().handle_event(event_type, fl_ctx)
        if event_type == EventType.SYSTEM_START and fl_ctx.get_process_type() in _PARENTS:
            show_job_pods(job_pods)
            threading.Thread(target=self._get_ready, name="job-pods", daemon=True).start()

    def launch_job(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> JobHandleSpec:
        """Create a job's pod and return at once: waiting for it is its handle's.

        Raises:
            RuntimeError: NVFlare's own preparations are missing.
        """
        cluster, settings, owner = self._prepare()
        cell = fl_ctx.get_engine().cell
        workspace = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT)
        plan = self._plan(job_meta, fl_ctx, workspace, settings)
        runtime = self._resolve_study_runtime(workspace.root_dir, job_meta.get(JobMetaKey.STUDY.value))
        if runtime is None or not runtime.container_image or not runtime.pod_template:
            raise RuntimeError(f"{self._jobs}/study_runtime.yaml has no pod for jobs of this study")
        transfer = WorkspaceTransferManager.get_or_create(cell)
        plan.environment[ENV_WORKSPACE_OWNER_FQCN] = transfer.owner_fqcn
        plan.secret_environment[ENV_WORKSPACE_TRANSFER_TOKEN] = transfer.add_job(
            plan.job_id, workspace.root_dir
        )
        pod = JobPod(
            cluster,
            plan=plan,
            pod=pod_manifest(plan, runtime.pod_template, runtime.container_image, settings, owner),
            secret=secret_manifest(plan, owner),
            patience=Patience(settings.start_timeout_seconds, settings.pending_timeout_seconds),
            keep=settings.ttl_seconds_after_finished,
            reports=Reports(
                waiting=lambda reason: self.report_waiting(cell, plan.job_id, reason),
                failure=lambda reason: _write_failure(workspace, plan.job_id, reason),
                last_words=lambda words: _write_last_words(workspace, plan.job_id, words),
                ended=lambda: transfer.remove_job(plan.job_id),
            ),
        )
        pod.start()
        return pod

    def report_waiting(self, cell: Any, job_id: str, reason: str) -> None:
        """Say why a job's pod does not run yet, where somebody asks for it."""
        raise NotImplementedError

    def _plan(
        self, job_meta: dict[str, Any], fl_ctx: FLContext, workspace: Workspace, settings: LauncherSettings
    ) -> JobPodPlan:
        job_id = str(job_meta[JobConstants.JOB_ID])
        site = fl_ctx.get_identity_name()
        arguments = fl_ctx.get_prop(FLContextKey.JOB_PROCESS_ARGS)
        environment = {}
        custom = workspace.get_app_custom_dir(job_id)
        if custom:
            environment["PYTHONPATH"] = os.path.abspath(custom)  # noqa: PTH100 - as NVFlare names it
        return JobPodPlan(
            name=job_pod_name(uuid4_to_rfc1123(job_id), site),
            job_id=job_id,
            job_name=str(job_meta.get(JobMetaKey.JOB_NAME.value, "")),
            module=self.door,
            arguments=self.get_module_args(job_id, fl_ctx),
            options=list(fl_ctx.get_prop(FLContextKey.ARGS).set),
            workspace=workspace.root_dir,
            need=Need.of(job_meta, site, settings),
            environment=environment,
            secret_environment={**get_credential_env(arguments), **push_environment(job_id)},
            startup=public_startup(Path(workspace.get_startup_kit_dir()), self.role),
        )

    def _prepare(self) -> tuple[Cluster, LauncherSettings, dict[str, Any]]:
        with self._ready:
            settings = LauncherSettings.read(self._jobs)
            if self._cluster is None:
                cluster = Cluster.connect(settings.namespace)
                # A job ends with its parent: pods of its last life have nobody to hand their results to.
                for name in cluster.delete_pods(settings.labels):
                    self.logger.warning("removed %s: its job ended with the last life of this parent", name)
                self._cluster = cluster
            return self._cluster, settings, self._cluster.reference(settings.owner)

    def _get_ready(self) -> None:
        try:
            self._prepare()
        except Exception:
            self.logger.exception("job pods cannot be launched now; the first job tries again")


class ServerPodLauncher(_PodLauncher, ServerK8sJobLauncher):
    """Starts the server's part of a job."""

    role = "server"
    door = "fl_app.launchers.server_job"

    def report_waiting(self, cell: Any, job_id: str, reason: str) -> None:
        """Say it in the server's log, too; administrators hear it from `fl_app.launchers.pending_jobs`."""
        if reason:
            self.logger.info("job %s waits for its pod: %s", job_id, reason)


class ClientPodLauncher(_PodLauncher, ClientK8sJobLauncher):
    """Starts a site's part of a job."""

    role = "client"
    door = "fl_app.launchers.site_job"

    def report_waiting(self, cell: Any, job_id: str, reason: str) -> None:
        """Tell the server's part of the job."""
        tell_server(cell, job_id, reason)


def _write_failure(workspace: Workspace, job_id: str, reason: str) -> None:
    """Add a line to the job's logs, as its own process would: NVFlare hands them on to the administrator."""
    now = datetime.now()
    line = f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03} - JobPod - ERROR - {reason}\n"
    errors = Path(workspace.get_app_error_log_file_path(job_id))
    if errors.parent.is_dir():
        for file in (errors, errors.with_name(WorkspaceConstants.LOG_FILE_NAME)):
            with file.open("a", encoding="utf-8") as log:
                log.write(line)


def _write_last_words(workspace: Workspace, job_id: str, words: str) -> None:
    """What a job that failed printed last, unless its own log of errors has come from its pod."""
    errors = Path(workspace.get_app_error_log_file_path(job_id))
    if not (errors.exists() and errors.stat().st_size):
        _write_failure(workspace, job_id, f"its process ended: {words}")
