"""The pods of a release: one parent with its probes, environment, mounts and least privilege."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from fl_app import contract
from fl_app.startup.settings import Settings
from tests.charts.rendering import CHARTS, Rendered, everything, minimal, overlaid, render, with_value

POD = {"launcher": "pod"}
KIT = {
    "kit": {"source": "values", "files": {"startup": {"rootCA.pem": "x"}, "local": {"flarefleet.json": "{}"}}}
}


def job_template(rendered: Rendered) -> dict[str, Any]:
    config = next(one for one in rendered.all("ConfigMap") if one["metadata"]["name"].endswith("-jobs"))
    return yaml.safe_load(config["data"]["study_runtime.yaml"])["studies"]["default"]["pod_template"]


def assert_restricted(spec: dict[str, Any]) -> None:
    """Pod Security `restricted`, rule by rule."""
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    kinds = "configMap emptyDir persistentVolumeClaim secret projected downwardAPI csi ephemeral"
    for volume in spec.get("volumes", []):
        assert volume.keys() - {"name"} <= set(kinds.split())
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.mark.parametrize("launcher", ["process", "pod"])
@pytest.mark.parametrize("chart", CHARTS)
def test_every_pod_passes_pod_security_restricted(chart: str, launcher: str) -> None:
    rendered = render(chart, overlaid(minimal(), {"launcher": launcher}))
    assert_restricted(rendered.pod["spec"])
    assert_restricted(rendered.test_pod["spec"])
    if launcher == "pod":
        assert_restricted(job_template(rendered)["spec"])


@pytest.mark.parametrize("chart", CHARTS)
def test_there_is_one_replica_and_an_unready_one_is_replaceable(chart: str) -> None:
    spec = render(chart).one("StatefulSet")["spec"]
    assert spec["replicas"] == 1
    assert spec["podManagementPolicy"] == "Parallel"


@pytest.mark.parametrize("chart", CHARTS)
def test_the_pod_uses_the_entry_point_of_the_image(chart: str) -> None:
    parent = render(chart).parent
    assert not {"command", "args"} & parent.keys(), "tini must stay PID 1"


@pytest.mark.parametrize("chart", CHARTS)
def test_the_environment_variables_are_those_of_the_contract(chart: str) -> None:
    env = {one["name"]: one.get("value") for one in render(chart).parent["env"]}
    assert env[contract.ENV_KIT] == str(contract.KIT_PATH)
    assert env[contract.ENV_KEY] == str(contract.KEY_PATH)
    assert env[contract.ENV_WORKSPACE] == str(contract.WORKSPACE_PATH)
    assert env[contract.ENV_PARENT_PORT] == str(contract.PARENT_PORT)
    assert env[contract.ENV_TELEMETRY_PORT] == str(contract.TELEMETRY_PORT)
    assert env["FLARE_TERMINATION_LOG"] == render(chart).parent["terminationMessagePath"]
    known = {value for name, value in vars(contract).items() if name.startswith("ENV_")}
    known |= {f"FLARE_{name.upper()}" for name in Settings.model_fields}
    assert env.keys() <= known, "a variable that is never read"


@pytest.mark.parametrize("chart", CHARTS)
def test_paths_ports_and_user_are_those_of_the_contract(chart: str) -> None:
    rendered = render(chart, overlaid(minimal(), KIT))
    mounts = {mount["mountPath"]: mount for mount in rendered.parent["volumeMounts"]}
    assert str(contract.WORKSPACE_PATH) in mounts
    assert mounts[str(contract.KEY_PATH)]["readOnly"] is True
    assert mounts[f"{contract.KIT_PATH}/startup"]["readOnly"] is True
    ports = {port["name"]: port["containerPort"] for port in rendered.parent["ports"]}
    assert ports["telemetry"] == contract.TELEMETRY_PORT
    assert ports.get("federation", contract.FEDERATION_PORT) == contract.FEDERATION_PORT
    user = rendered.pod["spec"]["securityContext"]
    assert {user["runAsUser"], user["runAsGroup"], user["fsGroup"]} == {contract.CONTAINER_UID}


@pytest.mark.parametrize("chart", CHARTS)
def test_only_the_readiness_probe_depends_on_the_federation(chart: str) -> None:
    parent = render(chart).parent
    paths = {name: parent[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


@pytest.mark.parametrize("chart", CHARTS)
def test_only_a_changed_kit_restarts_the_pod(chart: str) -> None:
    def annotations(text: str) -> dict[str, str]:
        changed = {"kit": {"files": {"local": {"flarefleet.json": text}}}}
        return render(chart, overlaid(overlaid(minimal(), KIT), changed)).pod["metadata"]["annotations"]

    assert annotations("{}") == annotations("{}")
    assert annotations("{}") != annotations('{"a": 1}')


def test_the_key_is_in_an_existing_secret_and_never_a_value() -> None:
    volumes = {volume["name"]: volume for volume in render("flare-client").pod["spec"]["volumes"]}
    assert volumes["key"]["secret"] == {"secretName": "site-1-key", "defaultMode": 0o400}
    assert not render("flare-client", everything("flare-client")).all("Secret")


@pytest.mark.parametrize("chart", CHARTS)
def test_a_parent_has_a_token_only_if_it_launches_pods(chart: str) -> None:
    without, with_pods = render(chart), render(chart, overlaid(minimal(), POD))
    assert without.pod["spec"]["automountServiceAccountToken"] is False
    assert not without.all("Role")
    assert with_pods.pod["spec"]["automountServiceAccountToken"] is True
    assert with_pods.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert with_pods.test_pod["spec"]["automountServiceAccountToken"] is False
    assert job_template(with_pods)["spec"]["automountServiceAccountToken"] is False


def test_the_launchers_role_is_bound_to_its_account_and_cannot_read_secrets() -> None:
    rendered = render("flare-client", overlaid(minimal(), POD))
    role, binding = rendered.one("Role"), rendered.one("RoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [one["name"] for one in binding["subjects"]] == [
        rendered.one("ServiceAccount")["metadata"]["name"]
    ]
    verbs = {resource: set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}
    assert verbs["pods"] == {"create", "get", "list", "watch", "delete"}
    assert not {"get", "list", "watch"} & verbs["secrets"]
    assert not any("*" in rule["verbs"] + rule["resources"] for rule in role["rules"])


def test_the_pod_that_trains_requests_the_gpus() -> None:
    gpus = {"gpus": 2, "runtimeClassName": "nvidia"}
    process = render("flare-client", overlaid(minimal(), gpus))
    pods = render("flare-client", overlaid(minimal(), gpus | POD))
    assert process.parent["resources"]["limits"] == {"nvidia.com/gpu": 2}
    assert process.pod["spec"]["runtimeClassName"] == "nvidia"
    assert "limits" not in pods.parent["resources"]


@pytest.mark.parametrize("launcher", ["process", "pod"])
def test_a_dataset_is_mounted_at_the_same_path_for_every_job(launcher: str) -> None:
    values = {
        "launcher": launcher,
        "datasets": {"training": {"claim": "county"}, "scratch": {"claim": "s", "mode": "rw"}},
    }
    rendered = render("flare-client", overlaid(minimal(), values))
    spec = rendered.pod["spec"] if launcher == "process" else job_template(rendered)["spec"]
    mounts = {
        mount["name"]: (mount["mountPath"], mount.get("readOnly"))
        for mount in spec["containers"][0]["volumeMounts"]
    }
    assert mounts["data-training"] == ("/data/training", True)
    assert mounts["data-scratch"] == ("/data/scratch", False)


def test_a_parent_that_launches_pods_mounts_no_dataset() -> None:
    values = {"launcher": "pod", "datasets": {"training": {"claim": "county"}}}
    assert "data-training" not in str(render("flare-client", overlaid(minimal(), values)).pod)


def test_an_uninstall_retains_the_volume_by_default() -> None:
    kept = render("flare-client").one("StatefulSet")["spec"]["persistentVolumeClaimRetentionPolicy"]
    gone = render("flare-client", with_value("persistence.whenDeleted", "Delete")).one("StatefulSet")["spec"]
    assert kept == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert gone["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete"


def test_an_upgrade_leaves_immutable_fields_unchanged() -> None:
    before = render("flare-client").one("StatefulSet")["spec"]
    after = render("flare-client", with_value("commonLabels", {"team": "fl"})).one("StatefulSet")["spec"]
    for field in ("selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy"):
        assert before[field] == after[field]
    assert "chart" not in str(before["volumeClaimTemplates"])


@pytest.mark.parametrize(
    ("release", "name"),
    [("flare.example.org", "flare-example-org"), ("1st", "flare-1st"), ("s" * 53, "s" * 52)],
)
def test_objects_are_named_after_the_release(release: str, name: str) -> None:
    assert render("flare-client", release=release).one("StatefulSet")["metadata"]["name"] == name


@pytest.mark.parametrize("chart", CHARTS)
def test_every_object_carries_the_labels_of_its_release(chart: str) -> None:
    for one in render(chart, overlaid(everything(chart), {"site": {"name": "site_1"}})).objects:
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "site-1"
        assert labels[contract.LABEL_SITE] == "site_1"
        assert labels[contract.LABEL_ROLE] in ("server", "client", "job", "test")
        assert labels["example.org/team"] == "fl"
        assert one["metadata"]["namespace"] == "fed"
