"""Every object is valid in the oldest and the newest supported Kubernetes version."""

from __future__ import annotations

from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.charts.rendering import (
    CHARTS,
    HELM_FOLDER,
    NEWEST,
    OLDEST,
    Values,
    everything,
    minimal,
    overlaid,
    render,
)

EXAMPLES = sorted((HELM_FOLDER / "flare-server" / "examples").glob("*.yaml"))
NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
HOST = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
TLS_ROUTE = {
    # TLSRoute v1 of Gateway API 1.5 (gateway-api.sigs.k8s.io/reference/spec/); no package has its schema.
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {
            "enum": [f"gateway.networking.k8s.io/{version}" for version in ("v1", "v1alpha3", "v1alpha2")]
        },
        "kind": {"const": "TLSRoute"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "required": ["hostnames", "rules"],
            "additionalProperties": False,
            "properties": {
                "parentRefs": {
                    "type": "array",
                    "maxItems": 32,
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "additionalProperties": False,
                        "properties": {
                            "group": {"type": "string"},
                            "kind": {"type": "string"},
                            "name": {"type": "string", "minLength": 1, "maxLength": 253},
                            "namespace": NAME,
                            "sectionName": {"type": "string", "minLength": 1, "maxLength": 253},
                            "port": {"type": "integer", "minimum": 1, "maximum": 65535},
                        },
                    },
                },
                "hostnames": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 16,
                    "items": {"type": "string", "pattern": HOST},
                },
                "rules": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["backendRefs"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string"},
                            "backendRefs": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 16,
                                "items": {
                                    "type": "object",
                                    "required": ["name", "port"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "group": {"type": "string"},
                                        "kind": {"type": "string"},
                                        "name": {"type": "string", "minLength": 1, "maxLength": 253},
                                        "namespace": NAME,
                                        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
                                        "weight": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def check(one: dict[str, Any], version: str) -> None:
    """Validate an object strictly against the schema of a Kubernetes version."""
    if one["kind"] == "TLSRoute":
        jsonschema.validate(one, TLS_ROUTE)
    else:
        kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("values", ["minimal", "everything"])
def test_kubernetes_accepts_every_object(chart: str, values: str, version: str) -> None:
    given: Values = minimal() if values == "minimal" else everything(chart)
    own_claim = overlaid(given, {"persistence": {"existingClaim": ""}})
    for one in render(chart, own_claim).objects:
        check(one, version)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_accepts_the_pod_of_a_job(version: str) -> None:
    config = render("flare-client", everything("flare-client")).one("ConfigMap", "county-jobs")["data"]
    template = yaml.safe_load(config["study_runtime.yaml"])["studies"]["default"]["pod_template"]
    template["spec"]["containers"][0]["image"] = "as the launcher sets it"
    check(template, version)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_kubernetes_accepts_an_example(example: Any) -> None:
    values = overlaid(minimal(), yaml.safe_load(example.read_text()))
    objects = render("flare-server", values).objects
    for one in objects:
        check(one, NEWEST)


@pytest.mark.parametrize(
    ("example", "annotation"),
    [
        ("ingress-nginx", "nginx.ingress.kubernetes.io/ssl-passthrough"),
        ("haproxy", "haproxy.org/ssl-passthrough"),
    ],
)
def test_an_ingress_passes_tls_through_to_the_federation_port(example: str, annotation: str) -> None:
    file = HELM_FOLDER / "flare-server" / "examples" / f"{example}.yaml"
    rendered = render("flare-server", overlaid(minimal(), yaml.safe_load(file.read_text())))
    ingress = rendered.one("Ingress")
    assert ingress["metadata"]["annotations"][annotation] == "true"
    assert "tls" not in ingress["spec"], "TLS must end in the pod"
    (rule,) = ingress["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    ports = {port["name"] for port in rendered.one("Service", backend["name"])["spec"]["ports"]}
    assert backend["port"]["name"] in ports


def test_a_tls_route_forwards_to_the_federation_port() -> None:
    file = HELM_FOLDER / "flare-server" / "examples" / "gateway-api.yaml"
    rendered = render("flare-server", overlaid(minimal(), yaml.safe_load(file.read_text())))
    (rule,) = rendered.one("TLSRoute")["spec"]["rules"]
    (backend,) = rule["backendRefs"]
    service = rendered.one("Service", backend["name"])
    assert backend["port"] in [port["port"] for port in service["spec"]["ports"]]
