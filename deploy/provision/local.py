"""Complete the `local/` folder of each kit for the runtimes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from nvflare.lighter.constants import CommConfigArg, ParticipantType, PropKey, ProvFileName
from nvflare.lighter.ctx import ProvisionContext
from nvflare.lighter.entity import Participant
from nvflare.lighter.entity import Project as FlareProject
from nvflare.lighter.spec import Builder

from deploy.project import Project, SiteDeployment
from deploy.project.allowed_components import kit_classes
from deploy.provision.content import max_clients
from fl_app.contract import (
    KIT_FACTS,
    NVFLARE_VERSION,
    PARENT_PORT,
    PENDING_SITES_ID,
    SITE_LOGS_FOLDER,
    TRANSFER_TIMEOUT_SECONDS,
    WORKSPACE_PATH,
    flarefleet_version,
)

LAUNCHERS = {
    ParticipantType.SERVER: "fl_app.launchers.process.ServerJobLauncher",
    ParticipantType.CLIENT: "fl_app.launchers.process.ClientJobLauncher",
}
"""Launcher of job processes, by the parent's type."""
JOB_MANAGER = "fl_app.survival.job_manager.JobManager"
LOG_RECEIVER = "fl_app.survival.log_receiver.LogReceiver"
JOB_SCHEDULER = "fl_app.guard.scheduler.JobScheduler"
JOB_LOG_COMMANDS = ("list_job", "get_job_log", "download_job_components")
"""Admin commands that show a submitter why a job failed."""
CHECK_ENGINE_FREQUENCY = 0.2
"""Seconds between checks of the server's job process whether its job is over (NVFlare: 3)."""
SCHEDULING = {"max_schedule_count": 100_000, "max_schedule_interval": 60.0}
"""A job that waits for resources of a site is tried every minute; NVFlare drops it after ten attempts."""
REGISTER_INTERVAL = 0.5
"""Seconds between a site's attempts to register (NVFlare: 2). The first often precedes the connection."""
REQUEST_TIMEOUT = 10.0
"""Timeout in seconds of a site's registration and heartbeat requests (NVFlare: 30)."""

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
PARENT_TELEMETRY = {"id": "flare_telemetry", "path": "fl_app.telemetry.parent.ParentTelemetry", "args": {}}
JOB_TELEMETRY = {"id": "flare_job_telemetry", "path": "fl_app.telemetry.job.JobTelemetry", "args": {}}
PARENT_ANALYTICS = {"id": "flare_analytics", "path": "fl_app.tracking.parent.ParentAnalytics", "args": {}}
JOB_ANALYTICS = {"id": "flare_job_analytics", "path": "fl_app.tracking.job.JobAnalytics", "args": {}}
PARENT_SURVIVAL = {"id": "flare_survival", "path": "fl_app.survival.component.ParentSurvival", "args": {}}
JOB_SURVIVAL = {"id": "flare_job_survival", "path": "fl_app.survival.component.JobSurvival", "args": {}}
JOB_GUARD = {"id": "flare_job_guard", "path": "fl_app.guard.component.JobGuard", "args": {}}
SITE_LOGS = {
    "id": "flare_site_logs",
    "path": "nvflare.app_common.logging.site_log_streamer.SiteLogStreamer",
    "args": {},
}
"""Sends log.txt of each job. It precedes NVFlare's own component, which streams only one file of a job."""
PENDING_SITES = {
    "id": PENDING_SITES_ID,
    "path": "fl_app.launchers.pending_pods.PendingSites",
    "args": {},
}
SCOPE = "default"
"""NVFlare creates the components of privacy.json only if it has a scope. This scope has no filters."""


class LocalBuilder(Builder):
    """Complete the files of StaticFileBuilder, directly after it."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._deployments = {parent.name: parent.deployment for parent in project.parents}

    def build(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """Write the local/ folder of the server and of each client."""
        for participant in [project.get_server(), *project.get_clients()]:
            local = Path(ctx.get_local_dir(participant))
            resources = local / ProvFileName.RESOURCES_JSON_DEFAULT
            client_limit = max_clients(len(self._project.sites))
            completed = _complete(
                *(resources.read_text(), participant.type, client_limit, kit_classes(self._project)),
                shares_logs=self._project.logs == "shared",
            )
            resources.write_text(completed)
            if participant.type == ParticipantType.SERVER:
                authorization = local / ProvFileName.AUTHORIZATION_JSON_DEFAULT
                authorization.write_text(_allow_leads_to_read_job_logs(authorization.read_text()))
            # StaticFileBuilder writes the parent's port for job processes to comm_config.json.
            arguments = participant.get_prop(PropKey.COMM_CONFIG_ARGS)
            arguments[CommConfigArg.PORT] = arguments.get(CommConfigArg.PORT) or PARENT_PORT
            (local / "telemetry__p_resources.json").write_text(_PARENT_TELEMETRY)
            (local / "privacy.json").write_text(_PRIVACY)
            (local / KIT_FACTS).write_text(_json(self._facts(participant)))
            study_runtime = _study_runtime(self._deployments[participant.name])
            (local / "study_runtime.yaml").write_text(study_runtime)

    def _facts(self, participant: Participant) -> dict[str, Any]:
        server = self._project.server
        return {
            "project": self._project.name,
            "name": participant.name,
            "role": participant.type,
            "org": participant.org,
            "nvflare": NVFLARE_VERSION,
            "flarefleet": flarefleet_version(),
            "server": {
                "name": server.name,
                "host": self._project.server_host,
                "fed_learn_port": server.fed_learn_port,
                "admin_port": server.admin_port,
            },
        }


@cache
def _allow_leads_to_read_job_logs(text: str) -> str:
    """Return NVFlare's authorization.json with permission for leads to read the logs of their own jobs.

    In NVFlare these commands belong to no category, so only a project_admin may use them.
    """
    authorization = json.loads(text)
    lead = authorization["permissions"].get("lead")
    if isinstance(lead, dict):
        for command in JOB_LOG_COMMANDS:
            lead.setdefault(command, "n:submitter")
    return _json(authorization)


@cache
def _complete(text: str, kind: str, client_limit: int, allowed: tuple[str, ...], *, shares_logs: bool) -> str:
    """Return NVFlare's resources.json, completed. Cached because most sites have the same."""
    resources = json.loads(text)
    resources["class_allow_list"] += [
        prefix for prefix in allowed if prefix not in resources["class_allow_list"]
    ]
    components = {component["id"]: component for component in resources["components"]}
    components["process_launcher"]["path"] = LAUNCHERS[kind]
    if kind == ParticipantType.SERVER:
        server = resources["servers"][0]
        server["max_num_clients"] = client_limit
        server["check_engine_frequency"] = CHECK_ENGINE_FREQUENCY
        components["job_scheduler"]["path"] = JOB_SCHEDULER
        components["job_scheduler"]["args"] |= SCHEDULING
        components["job_manager"]["path"] = JOB_MANAGER
        components["job_manager"]["args"]["uri_root"] = str(WORKSPACE_PATH / "jobs-storage")
        storage = resources["snapshot_persistor"]["args"]["storage"]
        components["log_receiver"]["path"] = LOG_RECEIVER
        components["log_receiver"]["args"]["dest_dir"] = str(WORKSPACE_PATH / SITE_LOGS_FOLDER)
        storage["args"]["root_dir"] = str(WORKSPACE_PATH / "snapshot-storage")
    elif kind == ParticipantType.CLIENT:
        resources["client"]["client_register_interval"] = REGISTER_INTERVAL
        resources["client"]["maint_msg_timeout"] = REQUEST_TIMEOUT
        resources["client"]["communication_timeout"] = TRANSFER_TIMEOUT_SECONDS
        if shares_logs:
            resources["components"].insert(0, SITE_LOGS)
    return _json(resources)


def _study_runtime(deployment: SiteDeployment) -> str:
    """Return the datasets that NVFlare's pod launcher mounts for jobs without a study."""
    default: dict[str, Any] = {}
    if deployment.launcher == "pod" and deployment.datasets:
        default["datasets"] = {
            name: {"source": dataset.claim, "mode": dataset.mode}
            for name, dataset in deployment.datasets.items()
        }
    return yaml.dump({"format_version": 2, "studies": {"default": default}}, Dumper=_DUMPER, sort_keys=False)


def _json(document: Any) -> str:
    return json.dumps(document, indent=2) + "\n"


_PARENT_TELEMETRY = _json(
    {"format_version": 2, "components": [PARENT_TELEMETRY, PARENT_ANALYTICS, PARENT_SURVIVAL]}
)
_PRIVACY = _json(
    {
        "scopes": [{"name": SCOPE, "properties": {}}],
        "default_scope": SCOPE,
        "components": [JOB_SURVIVAL, JOB_TELEMETRY, JOB_ANALYTICS, JOB_GUARD, PENDING_SITES],
    }
)
