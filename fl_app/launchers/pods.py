"""The launchers of a parent with `launcher: pod`.

They differ from NVFlare's launchers of pods: the pod comes from the site's template, may be pending for as
long as the site allows, fails only after the timeouts of `pod_failure`, and is deleted with its Secret.

NVFlare also builds them in job processes, where they do nothing: the first launch reads their settings.
"""

from __future__ import annotations

import os
import threading
from abc import abstractmethod
from functools import partial
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, JobConstants, ProcessType
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

from fl_app.child_process import is_ending
from fl_app.contract import JOB_SETTINGS
from fl_app.files import PRIVATE_FOLDER
from fl_app.guard.site_error import SiteError
from fl_app.launchers.job_log import append_error
from fl_app.launchers.job_pod import Callbacks, JobPod, job_pods
from fl_app.launchers.manifest import (
    JobPodPlan,
    ResourceRequest,
    pod_manifest,
    secret_manifest,
    startup_without_key,
)
from fl_app.launchers.namespace import JobNamespace
from fl_app.launchers.pending_pods import report_to_server
from fl_app.launchers.pod_failure import StartTimeouts
from fl_app.launchers.pod_settings import LauncherSettings
from fl_app.launchers.process_end import tell_server
from fl_app.launchers.restarts import Restarts
from fl_app.nvflare_internals.job_launchers import study_runtime
from fl_app.nvflare_internals.training_script import is_abort_requested
from fl_app.nvflare_internals.workspace_transfer import deliver_when_there_is_space
from fl_app.survival.checkpoints import folder_of
from fl_app.survival.history import record
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.limits import survival_enabled
from fl_app.telemetry.access import push_environment
from fl_app.telemetry.pods import show_job_pods

_PARENTS = (ProcessType.SERVER_PARENT, ProcessType.CLIENT_PARENT)


class _PodLauncher(K8sJobLauncher):
    """Start each job in a pod of its own.

    Args:
        jobs: folder of launcher.yaml; study_runtime.yaml is in the workspace's local/.
    """

    role: str
    program: str
    """Module that a job's pod runs."""

    def __init__(self, jobs: str) -> None:
        super().__init__(config_file_path="")
        self._jobs = Path(jobs)
        self._namespace_lock = threading.Lock()
        self._namespace: JobNamespace | None = None
        self._waiting: set[str] = set()
        """Jobs whose results wait for disk space."""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Connect to the cluster when the parent starts, in addition to what NVFlare does."""
        super().handle_event(event_type, fl_ctx)
        if event_type == EventType.SYSTEM_START and fl_ctx.get_process_type() in _PARENTS:
            show_job_pods(job_pods)
            threading.Thread(target=self._prepare, name="job-pods", daemon=True).start()

    def launch_job(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> JobHandleSpec:
        """Create a job's pod and return its handle without waiting for the pod.

        Raises:
            RuntimeError: study_runtime.yaml has no pod for the job's study.
        """
        namespace, settings, owner = self._connect()
        engine = fl_ctx.get_engine()
        cell = engine.cell
        workspace = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT)
        plan = self._plan(job_meta, fl_ctx, workspace, settings)
        runtime = study_runtime(self, workspace.root_dir, job_meta.get(JobMetaKey.STUDY.value))
        if runtime is None or not runtime.container_image or not runtime.pod_template:
            raise RuntimeError(f"{self._jobs}/study_runtime.yaml has no pod for jobs of this study")
        transfer = WorkspaceTransferManager.get_or_create(cell)
        if survival_enabled():
            site = "" if self.role == "server" else plan.site
            deliver_when_there_is_space(transfer.jobs, partial(self._results_wait, engine, site))
        plan.environment[ENV_WORKSPACE_OWNER_FQCN] = transfer.owner_fqcn
        plan.secret_environment[ENV_WORKSPACE_TRANSFER_TOKEN] = ""  # each pod has its own
        if settings.checkpoints:  # as its owner: Kubernetes would make it for root
            checkpoints = folder_of(Path(workspace.root_dir), plan.job_id)
            checkpoints.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)

        def secret() -> dict[str, Any]:
            token = transfer.add_job(plan.job_id, workspace.root_dir)
            plan.secret_environment[ENV_WORKSPACE_TRANSFER_TOKEN] = token
            return secret_manifest(plan, owner)

        pod = JobPod(
            namespace,
            plan=plan,
            pod=pod_manifest(plan, runtime.pod_template, runtime.container_image, settings, owner),
            secret=secret,
            timeouts=StartTimeouts(settings.start_timeout_seconds, settings.pending_timeout_seconds),
            keep=settings.ttl_seconds_after_finished,
            restarts=self.restarts(plan, fl_ctx),
            is_server=self.role == "server",
            callbacks=Callbacks(
                pending=lambda reason: self.report_pending(cell, plan.job_id, reason),
                failed=lambda reason: self.report_failure(workspace, plan.job_id, reason, engine),
                error_output=lambda output: _log_error_output(workspace, plan.job_id, output),
                finished=lambda: self._finished(transfer, plan.job_id),
            ),
        )
        pod.start()
        return pod

    def report_pending(self, cell: Any, job_id: str, reason: str) -> None:
        """Report why a job's pod does not run yet; an empty reason means it runs.

        `fl_app.launchers.pending_jobs` reports the pod of the server to administrators.
        """

    def report_failure(self, workspace: Workspace, job_id: str, reason: str, engine: Any) -> None:
        """Report why a job's pod failed."""
        append_error(workspace, job_id, "JobPod", reason)

    @abstractmethod
    def restarts(self, plan: JobPodPlan, fl_ctx: FLContext) -> Restarts:
        """Return the restarts of a job's pod."""

    def _finished(self, transfer: WorkspaceTransferManager, job_id: str) -> None:
        transfer.remove_job(job_id)
        self._waiting.discard(job_id)

    def _results_wait(self, engine: Any, site: str, job_id: str, reason: str) -> bool:
        """Record once that the results of a job wait for disk space; return whether to wait for it."""
        if is_ending():
            return False
        if job_id not in self._waiting:
            self._waiting.add(job_id)
            volume = f"the volume of {site or 'the server'} {reason}; free space on it"
            text = f"the results of its job process wait for disk space: {volume}"
            self.logger.warning("job %s: %s", job_id, text)
            record(engine, job_id, Intervention(Kind.WAITING, text, site))
        return True

    def _plan(
        self, job_meta: dict[str, Any], fl_ctx: FLContext, workspace: Workspace, settings: LauncherSettings
    ) -> JobPodPlan:
        job_id = str(job_meta[JobConstants.JOB_ID])
        site = fl_ctx.get_identity_name()
        arguments = fl_ctx.get_prop(FLContextKey.JOB_PROCESS_ARGS)
        environment = {name: os.environ[name] for name in JOB_SETTINGS if os.environ.get(name)}
        custom = workspace.get_app_custom_dir(job_id)
        if custom:
            environment["PYTHONPATH"] = os.path.abspath(custom)  # noqa: PTH100 - NVFlare's form of the path
        return JobPodPlan(
            name=job_pod_name(uuid4_to_rfc1123(job_id), site),
            job_id=job_id,
            job_name=str(job_meta.get(JobMetaKey.JOB_NAME.value, "")),
            site=site,
            module=self.program,
            arguments=self.get_module_args(job_id, fl_ctx),
            options=list(fl_ctx.get_prop(FLContextKey.ARGS).set),
            workspace=workspace.root_dir,
            request=ResourceRequest.of(job_meta, site, settings),
            environment=environment,
            secret_environment={**get_credential_env(arguments), **push_environment(job_id)},
            startup=startup_without_key(Path(workspace.get_startup_kit_dir()), self.role),
        )

    def _connect(self) -> tuple[JobNamespace, LauncherSettings, dict[str, Any]]:
        with self._namespace_lock:
            settings = LauncherSettings.read(self._jobs)
            if self._namespace is None:
                namespace = JobNamespace.connect(settings.namespace)
                # Pods of a previous parent are not adopted: their tokens for the workspace, for metrics and
                # of the site's registration are not valid any longer, so they cannot deliver their results.
                for name in namespace.delete_pods(settings.labels):
                    self.logger.warning("deleted the orphaned pod %s of a previous parent", name)
                self._namespace = namespace
            return self._namespace, settings, self._namespace.owner_reference(settings.owner)

    def _prepare(self) -> None:
        try:
            self._connect()
        except Exception:  # whatever it is, the parent must start; a job reports it
            self.logger.exception("cannot launch job pods now; the first job will retry")


class ServerPodLauncher(_PodLauncher, ServerK8sJobLauncher):
    """Start the server's part of a job."""

    role = "server"
    program = "fl_app.launchers.server_job"

    def restarts(self, plan: JobPodPlan, fl_ctx: FLContext) -> Restarts:
        """Return the restarts of the server's pod."""
        return Restarts(fl_ctx.get_engine(), plan.job_id, site="")


class ClientPodLauncher(_PodLauncher, ClientK8sJobLauncher):
    """Start a site's part of a job."""

    role = "client"
    program = "fl_app.launchers.site_job"

    def report_pending(self, cell: Any, job_id: str, reason: str) -> None:
        """Send the reason to the server's part of the job."""
        report_to_server(cell, job_id, reason)

    def report_failure(self, workspace: Workspace, job_id: str, reason: str, engine: Any) -> None:
        """Report it, and tell the server's part of the job, before NVFlare does."""
        super().report_failure(workspace, job_id, reason, engine)
        if not is_abort_requested(engine, job_id):
            tell_server(engine, job_id, SiteError(reason, ends_site=True))

    def restarts(self, plan: JobPodPlan, fl_ctx: FLContext) -> Restarts:
        """Return the restarts of the site's pod."""
        engine = fl_ctx.get_engine()
        return Restarts(engine, plan.job_id, plan.site, partial(is_abort_requested, engine, plan.job_id))


def _log_error_output(workspace: Workspace, job_id: str, output: str) -> None:
    """Append the last output of a failed job, unless the pod has delivered its error log."""
    errors = Path(workspace.get_app_error_log_file_path(job_id))
    if not (errors.exists() and errors.stat().st_size):
        append_error(workspace, job_id, "JobPod", f"its process exited: {output}")
