"""The pod and the Secret of a job: the site's template, merged with the requirements of the job.

They do not contain the site's private key. A job pod connects only to its parent: over TLS for its job, over
plain HTTP for its metrics, and with a token for each. NVFlare still loads a key: a disposable one that signs
nothing. The Secret contains the key of homomorphic encryption, if there is one.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from nvflare.app_opt.job_launcher.k8s_launcher import K8sJobHandle

from fl_app.contract import CONTEXT_SUFFIX
from fl_app.launchers.pod_failure import CONTAINER
from fl_app.launchers.pod_settings import LauncherSettings
from fl_app.survival.checkpoints import FOLDER, folder_of

PYTHON = "python"
"""The interpreter on the image's PATH; an image with extra packages may have its own."""
TINI = ["/usr/bin/tini", "-g", "--"]
_COPIED = (".crt", ".pem", ".json", CONTEXT_SUFFIX)
_STARTUP_VOLUME = "startup"
_WORKSPACE_VOLUME = "workspace"
_MODE = 0o444

SYNC_TIMEOUT_SECONDS = 7 * 24 * 3600
"""Timeout of a site's job for the server's job, whose pod may be pending."""
ENVIRONMENT = {
    # A job connects only to its parent; the parent has the site's only connection to the server.
    "NVFLARE_BACKBONE_CONN_GEN": "1",
    "NVFLARE_MAX_RUNNER_SYNC_TIMEOUT": str(SYNC_TIMEOUT_SECONDS),
}
PARENT_URL = "-p"
"""NVFlare's option for the address of the parent."""
TLS = "?connection_security=tls"
"""One-way TLS: the job has no key. NVFlare's option for this does not reach the server's job."""
NO_GPU = {"NVIDIA_VISIBLE_DEVICES": "void"}
"""Without this, a GPU image sees every GPU of a node whose default runtime is NVIDIA's."""

LOST_NODE_SECONDS = 60
"""Time after which Kubernetes deletes a job pod on a node that does not answer (its default: 300)."""
_LOST_NODE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


@dataclass(frozen=True)
class ResourceRequest:
    """The resources that one job requests at this site."""

    gpus: int
    resources: dict[str, Any]
    """Requests and limits of the container, without GPUs."""

    @classmethod
    def of(cls, job_meta: dict[str, Any], site: str, settings: LauncherSettings) -> ResourceRequest:
        """Read NVFlare's job meta, with the site's defaults for what it does not set.

        Raises:
            ValueError: the request is invalid.
        """
        from nvflare.utils.job_launcher_utils import get_job_launcher_spec, get_portable_resource_spec

        spec = get_job_launcher_spec(job_meta, site, "k8s")
        portable = get_portable_resource_spec(job_meta, site)
        gpus = int(spec.get("num_of_gpus", portable.get("num_of_gpus", settings.gpus)))
        requested: dict[str, dict[str, str]] = {"limits": {}, "requests": {}}
        for key, portable_key in (("cpu", "num_of_cpus"), ("memory", "memory")):
            limit = portable.get(portable_key, spec.get(key))
            request = spec.get(f"{key}_request", limit)
            if limit:
                requested["limits"][key] = str(limit)
            if request:
                requested["requests"][key] = str(request)
        default = settings.default_resources
        resources = {
            # Kubernetes' client needs quantities as strings; YAML may have parsed them as numbers.
            kind: {name: str(value) for name, value in {**default.get(kind, {}), **requested[kind]}.items()}
            for kind in ("requests", "limits")
        }
        return cls(gpus, resources)


@dataclass(frozen=True)
class JobPodPlan:
    """Input for the pod and the Secret of one job."""

    name: str
    """Name of the pod and of its Secret."""
    job_id: str
    job_name: str
    site: str
    """Name of the site or server in project.yml."""
    module: str
    """The program: `python -m MODULE`."""
    arguments: dict[str, str]
    options: list[str]
    """NVFlare's --set."""
    workspace: str
    """Path of the workspace in the pod; it equals the parent's, because NVFlare passes paths below it."""
    request: ResourceRequest
    environment: dict[str, str]
    secret_environment: dict[str, str]
    """Credentials; they are stored in the Secret."""
    startup: dict[str, bytes] = field(repr=False)


def startup_without_key(folder: Path, role: str) -> dict[str, bytes]:
    """Return the files that a job process of `role` reads from startup/, with a disposable key.

    The key of homomorphic encryption is among them, if there is one: job processes encrypt with it.
    """
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix in _COPIED}
    files[f"{role}.key"] = _disposable_key()
    return files


@cache  # one is enough: no process trusts it
def _disposable_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def secret_manifest(plan: JobPodPlan, owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Secret of a job."""
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
    """Return the pod of a job.

    Args:
        plan: the job's part.
        template: the site's part: a pod whose first container is the job's.
        image: the site's image.
        settings: settings of the launcher.
        owner: owner reference of the pod.
    """
    gpus = {settings.gpu_resource: str(plan.request.gpus)} if plan.request.gpus else {}
    resources = {
        "requests": plan.request.resources.get("requests", {}),
        "limits": {**plan.request.resources.get("limits", {}), **gpus},
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
    spec = manifest["spec"]
    spec["tolerations"] = with_lost_node(spec.get("tolerations") or [])
    if settings.checkpoints and settings.checkpoints.node_of:
        _require_node_of(spec, settings.checkpoints.node_of)
    metadata = manifest["metadata"]
    metadata["ownerReferences"] = [dict(owner)]
    metadata.setdefault("annotations", {}).update({"flare/job": plan.job_id, "flare/job-name": plan.job_name})
    return dict(manifest)


def with_lost_node(tolerations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let a pod stay on a lost node for LOST_NODE_SECONDS, unless the site sets this."""
    given = {one.get("key") for one in tolerations}  # without a key, a toleration is for every taint
    return tolerations + [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": LOST_NODE_SECONDS}
        for key in _LOST_NODE
        if not given & {key, None}
    ]


def _require_node_of(spec: dict[str, Any], labels: Mapping[str, str]) -> None:
    """Let a pod run only on the node of the pod with these labels, besides what the site requires."""
    affinity = spec.setdefault("affinity", {}).setdefault("podAffinity", {})
    affinity.setdefault("requiredDuringSchedulingIgnoredDuringExecution", []).append(
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": dict(labels)}}
    )


def _volumes(plan: JobPodPlan, settings: LauncherSettings) -> dict[str, Any]:
    items = [{"key": name, "path": name} for name in sorted(plan.startup)]
    startup = {"secretName": plan.name, "items": items, "defaultMode": _MODE}
    volumes: list[dict[str, Any]] = [
        {"name": _WORKSPACE_VOLUME, "emptyDir": {"sizeLimit": settings.ephemeral_storage}},
        {"name": _STARTUP_VOLUME, "secret": startup},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": _WORKSPACE_VOLUME, "mountPath": plan.workspace},
        {"name": _STARTUP_VOLUME, "mountPath": f"{plan.workspace}/startup", "readOnly": True},
    ]
    if settings.checkpoints:
        folder = str(folder_of(Path(), plan.job_id))
        volumes.append({"name": FOLDER, "persistentVolumeClaim": {"claimName": settings.checkpoints.claim}})
        mounts.append({"name": FOLDER, "mountPath": f"{plan.workspace}/{folder}", "subPath": folder})
    return {"volume_list": volumes, "volume_mount_list": mounts}
