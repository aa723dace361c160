"""The pod and the Secret of a job: NVFlare merges the site's template with what this job needs.

The site's private key is not among it. A job pod reaches nobody but its parent, over TLS, and shows the token
of its job; what NVFlare loads in the key's place is a throw-away one, with which nothing can be signed.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from nvflare.app_opt.job_launcher.k8s_launcher import K8sJobHandle

from fl_app.launchers.pod_failure import CONTAINER
from fl_app.launchers.pod_settings import LauncherSettings

PYTHON = "python"
"""The one that the PATH of the image names: its extras may bring one of their own."""
TINI = ["/usr/bin/tini", "-g", "--"]
_PUBLIC = (".crt", ".pem", ".json")
_VOLUME = "startup"
_WORKSPACE_VOLUME = "workspace"
_MODE = 0o444

WAITS_FOR_OTHERS = 7 * 24 * 3600
"""Seconds for which a site's job waits for the server's, whose pod may wait for room on a node."""
ENVIRONMENT = {
    # A job reaches its parent alone; the site's one connection to the server is the parent's.
    "NVFLARE_BACKBONE_CONN_GEN": "1",
    "NVFLARE_MAX_RUNNER_SYNC_TIMEOUT": str(WAITS_FOR_OTHERS),
}
PARENT_URL = "-p"
"""NVFlare's option for where a job finds its parent."""
TLS = "?connection_security=tls"
"""The parent shows its certificate, the job shows none: it has no key. NVFlare has an option for this,
but the server's job reads it nowhere but in the URL."""
NO_GPU = {"NVIDIA_VISIBLE_DEVICES": "void"}
"""Without this, a GPU image sees all GPUs of a node whose default runtime is NVIDIA's."""


@dataclass(frozen=True)
class Need:
    """What one job asks for, as its author wrote it for this site."""

    gpus: int
    resources: dict[str, Any]
    """A container's requests and limits, without GPUs."""

    @classmethod
    def of(cls, job_meta: dict[str, Any], site: str, settings: LauncherSettings) -> Need:
        """From NVFlare's job meta; what it leaves open is the site's to say.

        Raises:
            ValueError: it asks for what cannot be.
        """
        from nvflare.utils.job_launcher_utils import get_job_launcher_spec, get_portable_resource_spec

        spec = get_job_launcher_spec(job_meta, site, "k8s")
        portable = get_portable_resource_spec(job_meta, site)
        gpus = int(spec.get("num_of_gpus", portable.get("num_of_gpus", settings.gpus)))
        asked: dict[str, dict[str, str]] = {"limits": {}, "requests": {}}
        for key, portable_key in (("cpu", "num_of_cpus"), ("memory", "memory")):
            limit = portable.get(portable_key, spec.get(key))
            request = spec.get(f"{key}_request", limit)
            if limit:
                asked["limits"][key] = str(limit)
            if request:
                asked["requests"][key] = str(request)
        default = settings.default_resources
        resources = {
            # Quantities are strings to Kubernetes' client, whatever YAML makes of them.
            kind: {name: str(value) for name, value in {**default.get(kind, {}), **asked[kind]}.items()}
            for kind in ("requests", "limits")
        }
        return cls(gpus, resources)


@dataclass(frozen=True)
class JobPodPlan:
    """Everything that the pod of one job is made of."""

    name: str
    """Of the pod; its Secret has the same name."""
    job_id: str
    job_name: str
    module: str
    """The program: `python -m MODULE`."""
    arguments: dict[str, str]
    options: list[str]
    """NVFlare's --set."""
    workspace: str
    """Its path in the pod: the same as in the parent, since NVFlare names files below it."""
    need: Need
    environment: dict[str, str]
    secret_environment: dict[str, str]
    """Credentials; they travel in the Secret."""
    startup: dict[str, bytes] = field(repr=False)


def public_startup(folder: Path, role: str) -> dict[str, bytes]:
    """What a job process of `role` reads of the startup folder, with a throw-away key in the key's place."""
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix in _PUBLIC}
    files[f"{role}.key"] = _throw_away_key()
    return files


@cache  # one for a parent's life is enough: it is good for nothing
def _throw_away_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def secret_manifest(plan: JobPodPlan, owner: Mapping[str, Any]) -> dict[str, Any]:
    """The Secret of a job."""
    data = {
        **{name: value.encode() for name, value in plan.secret_environment.items()},
        **plan.startup,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": plan.name, "ownerReferences": [dict(owner)]},
        "type": "Opaque",
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def pod_manifest(
    plan: JobPodPlan,
    template: dict[str, Any],
    image: str,
    settings: LauncherSettings,
    owner: Mapping[str, Any],
) -> dict[str, Any]:
    """The pod of a job.

    Args:
        plan: the job's part.
        template: the site's part: a pod whose first container is the job's.
        image: the site's.
        settings: what the launcher knows of its release.
        owner: with which it goes.
    """
    gpus = {settings.gpu_resource: str(plan.need.gpus)} if plan.need.gpus else {}
    resources = {
        "requests": plan.need.resources.get("requests", {}),
        "limits": {**plan.need.resources.get("limits", {}), **gpus},
    }
    config = {
        "name": plan.name,
        "image": image,
        "container_name": CONTAINER,
        "command": plan.module,
        "module_args": {**plan.arguments, PARENT_URL: plan.arguments[PARENT_URL] + TLS},
        "set_list": plan.options,
        "env": {**ENVIRONMENT, **({} if gpus else NO_GPU), **plan.environment},
        "secret_env": [
            {"name": name, "source": plan.name, "key": name} for name in sorted(plan.secret_environment)
        ],
        "resources": resources,
        **_volumes(plan, settings),
    }
    manifest = K8sJobHandle(
        plan.job_id, None, config, python_path=PYTHON, pod_manifest_template=template
    ).get_manifest()
    container = next(one for one in manifest["spec"]["containers"] if one["name"] == CONTAINER)
    container["command"] = [*TINI, *container["command"]]
    # The door's first argument is the process that the job must not outlive: tini, this pod's first.
    at = container["args"].index(plan.module) + 1
    container["args"].insert(at, "1")
    metadata = manifest["metadata"]
    metadata["ownerReferences"] = [dict(owner)]
    metadata.setdefault("annotations", {}).update({"flare/job": plan.job_id, "flare/job-name": plan.job_name})
    return dict(manifest)


def _volumes(plan: JobPodPlan, settings: LauncherSettings) -> dict[str, Any]:
    items = [{"key": name, "path": name} for name in sorted(plan.startup)]
    return {
        "volume_list": [
            {"name": _WORKSPACE_VOLUME, "emptyDir": {"sizeLimit": settings.ephemeral_storage}},
            {"name": _VOLUME, "secret": {"secretName": plan.name, "items": items, "defaultMode": _MODE}},
        ],
        "volume_mount_list": [
            {"name": _WORKSPACE_VOLUME, "mountPath": plan.workspace},
            {"name": _VOLUME, "mountPath": f"{plan.workspace}/startup", "readOnly": True},
        ],
    }
