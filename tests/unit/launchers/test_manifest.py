"""The pod and the Secret of a job."""

from __future__ import annotations

import base64
import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient

from fl_app.launchers.manifest import (
    JobPodPlan,
    ResourceRequest,
    pod_manifest,
    secret_manifest,
    startup_without_key,
)
from fl_app.launchers.pod_settings import LauncherSettings
from tests.charts.rendering import minimal, overlaid, render

OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "site-1-jobs", "uid": "1234"}
PLAN = JobPodPlan(
    name="j1-site-1",
    job_id="5b2c63f4-9f62-4d8e-9a3b-0d4c1d1f6a10",
    job_name="hospital",
    site="site-1",
    module="fl_app.launchers.site_job",
    arguments={"-m": "/var/lib/flare", "-p": "stcp://site-1-headless:8102"},
    options=["secure_train=true"],
    workspace="/var/lib/flare",
    request=ResourceRequest(0, {"requests": {"cpu": "1"}, "limits": {}}),
    environment={"NVFL_WORKSPACE_OWNER_FQCN": "site-1"},
    secret_environment={"NVFLARE_JOB_AUTH_TOKEN": "secret-token", "FLARE_PUSH_TOKEN": "push-token"},
    startup={"client.crt": b"crt", "client.key": b"disposable"},
)


@pytest.fixture(scope="module")
def chart() -> dict[str, Any]:
    """The files that the chart writes for a parent with job pods."""
    values = {
        "launcher": "pod",
        "gpus": 2,
        "datasets": {"training": {"claim": "site-1-data"}},
        "jobPods": {"nodeSelector": {"gpu": "yes"}, "labels": {"cost-centre": "radiology"}},
    }
    rendered = render("flare-client", overlaid(minimal(), values))
    (config,) = (
        one for one in rendered.objects if one["metadata"]["name"] == "site-1-jobs" and "data" in one
    )
    return {name: yaml.safe_load(text) for name, text in config["data"].items()}


@pytest.fixture(scope="module")
def settings(chart: dict[str, Any]) -> LauncherSettings:
    return LauncherSettings.model_validate(chart["launcher.yaml"])


def manifest_of(chart: dict[str, Any], settings: LauncherSettings, plan: JobPodPlan = PLAN) -> dict[str, Any]:
    study = chart["study_runtime.yaml"]["studies"]["default"]
    return pod_manifest(plan, study["pod_template"], study["container"]["image"], settings, OWNER)


def test_the_pod_combines_the_charts_template_and_the_jobs_part(
    chart: dict[str, Any], settings: LauncherSettings
) -> None:
    manifest = manifest_of(chart, settings)
    metadata, spec = manifest["metadata"], manifest["spec"]
    (container,) = spec["containers"]
    assert metadata["ownerReferences"] == [OWNER]
    labels = metadata["labels"]
    assert labels.items() >= {"flare/site": "site-1", "flare/role": "job", "cost-centre": "radiology"}.items()
    assert settings.labels.items() <= labels.items(), "a restarted parent finds the pod by them"
    assert spec["restartPolicy"] == "Never"
    assert spec["automountServiceAccountToken"] is False
    assert spec["nodeSelector"] == {"gpu": "yes"}
    assert container["command"] == ["/usr/bin/tini", "-g", "--", "python"]
    assert container["args"][:3] == ["-u", "-m", "fl_app.launchers.site_job"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["requests"] == {"cpu": "1"}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {"/var/lib/flare", "/var/lib/flare/startup", "/tmp", "/data/training"} <= set(mounts)
    assert mounts["/data/training"]["readOnly"] is True


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ([], {"node.kubernetes.io/not-ready": 60, "node.kubernetes.io/unreachable": 60}),
        (
            [{"key": "gpu", "operator": "Exists"}],
            {"gpu": None, "node.kubernetes.io/not-ready": 60, "node.kubernetes.io/unreachable": 60},
        ),
        (
            [{"key": "node.kubernetes.io/unreachable", "tolerationSeconds": 900}],
            {"node.kubernetes.io/not-ready": 60, "node.kubernetes.io/unreachable": 900},
        ),
        ([{"operator": "Exists"}], {None: None}),
    ],
)
def test_a_pod_leaves_a_lost_node_after_a_minute_unless_the_site_sets_another_time(
    chart: dict[str, Any], settings: LauncherSettings, given: list[dict[str, Any]], seconds: dict[str, int]
) -> None:
    study = chart["study_runtime.yaml"]["studies"]["default"]
    template = deepcopy(study["pod_template"])
    template["spec"]["tolerations"] = given
    spec = pod_manifest(PLAN, template, study["container"]["image"], settings, OWNER)["spec"]
    found = {one.get("key"): one.get("tolerationSeconds") for one in spec["tolerations"]}
    assert found == seconds


def test_a_job_connects_only_to_its_parent_over_tls(
    chart: dict[str, Any], settings: LauncherSettings
) -> None:
    (container,) = manifest_of(chart, settings)["spec"]["containers"]
    at = container["args"].index("-p")
    assert container["args"][at + 1] == "stcp://site-1-headless:8102?connection_security=tls"
    plain = {one["name"]: one.get("value") for one in container["env"]}
    assert plain["NVFLARE_BACKBONE_CONN_GEN"] == "1"


def test_credentials_are_only_in_the_secret(chart: dict[str, Any], settings: LauncherSettings) -> None:
    manifest, secret = manifest_of(chart, settings), secret_manifest(PLAN, OWNER)
    text = yaml.safe_dump(manifest)
    assert "secret-token" not in text
    assert "push-token" not in text
    (container,) = manifest["spec"]["containers"]
    from_secret = {
        one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one
    }
    assert from_secret["FLARE_PUSH_TOKEN"] == {"name": "j1-site-1", "key": "FLARE_PUSH_TOKEN"}
    assert base64.b64decode(secret["data"]["FLARE_PUSH_TOKEN"]) == b"push-token"
    volume = next(one for one in manifest["spec"]["volumes"] if one["name"] == "startup")
    assert {item["key"] for item in volume["secret"]["items"]} == {"client.crt", "client.key"}


def test_job_pods_do_not_contain_the_sites_private_key(tmp_path: Path) -> None:
    for name in ("client.crt", "rootCA.pem", "fed_client.json", "start.sh"):
        (tmp_path / name).write_text(name)
    (tmp_path / "real.key").write_text("the real key")
    (tmp_path / "client.key").symlink_to(tmp_path / "real.key")
    startup = startup_without_key(tmp_path, "client")
    assert sorted(startup) == ["client.crt", "client.key", "fed_client.json", "rootCA.pem"]
    assert b"the real key" not in b"".join(startup.values())
    assert startup["client.key"].startswith(b"-----BEGIN RSA PRIVATE KEY-----")


@pytest.mark.parametrize(
    ("meta", "gpus"),
    [
        ({}, 2),
        ({"resource_spec": {"site-1": {"num_of_gpus": 1}}}, 1),
        ({"resource_spec": {"site-1": {"num_of_gpus": 0}}}, 0),
        ({"resource_spec": {"site-2": {"num_of_gpus": 1}}}, 2),
        ({"launcher_spec": {"site-1": {"k8s": {"num_of_gpus": 4}}}}, 4),
    ],
)
def test_a_job_gets_the_gpus_that_it_requests_or_the_sites_default(
    meta: dict[str, Any], gpus: int, chart: dict[str, Any], settings: LauncherSettings
) -> None:
    request = ResourceRequest.of(meta, "site-1", settings)
    assert request.gpus == gpus
    (container,) = manifest_of(chart, settings, replace(PLAN, request=request))["spec"]["containers"]
    assert container["resources"]["limits"].get("nvidia.com/gpu", "0") == str(gpus)
    hidden = {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in container["env"]
    assert hidden is (gpus == 0), "a GPU image sees every GPU of the node by default"


def test_a_jobs_request_overrides_the_sites_default(settings: LauncherSettings) -> None:
    settings = settings.model_copy(update={"default_resources": {"requests": {"cpu": 1, "memory": "512Mi"}}})
    request = ResourceRequest.of({"resource_spec": {"site-1": {"num_of_cpus": 4}}}, "site-1", settings)
    assert request.resources == {"requests": {"cpu": "4", "memory": "512Mi"}, "limits": {"cpu": "4"}}


def test_an_invalid_number_of_gpus_is_rejected(settings: LauncherSettings) -> None:
    with pytest.raises(ValueError, match="num_of_gpus"):
        ResourceRequest.of({"resource_spec": {"site-1": {"num_of_gpus": -1}}}, "site-1", settings)


def test_the_kubernetes_client_accepts_the_pod(chart: dict[str, Any], settings: LauncherSettings) -> None:
    meta = {"resource_spec": {"site-1": {"num_of_cpus": 4, "num_of_gpus": 1}}}
    request = ResourceRequest.of(meta, "site-1", settings)
    text = json.dumps(manifest_of(chart, settings, replace(PLAN, request=request)))
    # The client reads the answer of the API server in this way; it validates required fields.
    created = ApiClient().deserialize(SimpleNamespace(data=text), "V1Pod")
    assert created.spec.containers[0].resources.limits == {"cpu": "4", "nvidia.com/gpu": "1"}


def server_chart(**persistence: Any) -> dict[str, Any]:
    """Return the files that the chart writes for a server with job pods."""
    rendered = render("flare-server", overlaid(minimal(), {"launcher": "pod", "persistence": persistence}))
    (config,) = (one["data"] for one in rendered.objects if "study_runtime.yaml" in (one.get("data") or {}))
    return {name: yaml.safe_load(text) for name, text in config.items()}


def server_pod(**persistence: Any) -> dict[str, Any]:
    chart = server_chart(**persistence)
    return manifest_of(chart, LauncherSettings.model_validate(chart["launcher.yaml"]))


@pytest.mark.parametrize(
    ("persistence", "claim"), [({}, "workspace-site-1-0"), ({"existingClaim": "own"}, "own")], ids=str
)
def test_the_servers_job_saves_its_checkpoints_and_no_others_on_the_claim_of_the_server(
    persistence: dict[str, Any], claim: str
) -> None:
    spec = server_pod(**persistence)["spec"]

    volume = next(one for one in spec["volumes"] if one["name"] == "checkpoints")
    assert volume["persistentVolumeClaim"] == {"claimName": claim}
    (container,) = spec["containers"]
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "checkpoints")
    assert mount["mountPath"] == f"/var/lib/flare/checkpoints/{PLAN.job_id}"
    assert mount["subPath"] == f"checkpoints/{PLAN.job_id}"


def test_the_servers_job_runs_on_the_node_that_its_claim_is_mounted_on() -> None:
    (term,) = server_pod()["spec"]["affinity"]["podAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    rendered = render("flare-server", overlaid(minimal(), {"launcher": "pod"}))
    (server,) = (one for one in rendered.objects if one["kind"] == "StatefulSet")
    labels = server["spec"]["template"]["metadata"]["labels"]
    assert term["labelSelector"]["matchLabels"].items() <= labels.items()

    assert "affinity" not in server_pod(accessModes=["ReadWriteMany"])["spec"]


@pytest.mark.parametrize("persistence", [{"enabled": False}, {"accessModes": ["ReadWriteOncePod"]}], ids=str)
def test_without_a_claim_for_two_pods_checkpoints_stay_in_the_pod(persistence: dict[str, Any]) -> None:
    spec = server_pod(**persistence)["spec"]
    assert "checkpoints" not in {volume["name"] for volume in spec["volumes"]}
    assert "affinity" not in spec


def test_the_job_of_a_site_mounts_no_checkpoints(chart: dict[str, Any], settings: LauncherSettings) -> None:
    spec = manifest_of(chart, settings)["spec"]
    assert "checkpoints" not in {volume["name"] for volume in spec["volumes"]}
