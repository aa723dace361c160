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
    Rendered,
    everything,
    minimal,
    overlaid,
    render,
)

EXAMPLES = sorted(file.stem for file in (HELM_FOLDER / "flare-server" / "examples").glob("*.yaml"))


def texts(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


def closed(*required: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has no other properties."""
    rules = {"required": list(required), "additionalProperties": False}
    return {"type": "object", **rules, "properties": properties}


def several(items: dict[str, Any], least: int, most: int) -> dict[str, Any]:
    return {"type": "array", "minItems": least, "maxItems": most, "items": items}


NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
HOST = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
TEXT, PORT = {"type": "string"}, {"type": "integer", "minimum": 1, "maximum": 65535}
OBJECT = {"group": TEXT, "kind": TEXT, "name": texts(253), "namespace": NAME, "port": PORT}
WEIGHT = {"type": "integer", "minimum": 0, "maximum": 1_000_000}
RULE = closed(
    "backendRefs", name=TEXT, backendRefs=several(closed("name", "port", **OBJECT, weight=WEIGHT), 1, 16)
)
# TLSRoute v1 of Gateway API 1.5 (gateway-api.sigs.k8s.io/reference/spec/); no package has its schema.
TLS_ROUTE = closed(
    *("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"enum": [f"gateway.networking.k8s.io/{one}" for one in ("v1", "v1alpha3", "v1alpha2")]},
    kind={"const": "TLSRoute"},
    metadata={"type": "object"},
    spec=closed(
        *("hostnames", "rules"),
        parentRefs=several(closed("name", **OBJECT, sectionName=texts(253)), 0, 32),
        hostnames=several({"type": "string", "pattern": HOST}, 1, 16),
        rules=several(RULE, 1, 1),
    ),
)


def example(name: str) -> Rendered:
    values = yaml.safe_load((HELM_FOLDER / "flare-server" / "examples" / f"{name}.yaml").read_text())
    return render("flare-server", overlaid(minimal(), values))


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
    given = minimal() if values == "minimal" else everything(chart)
    own_claim = overlaid(given, {"persistence": {"existingClaim": ""}})
    for one in render(chart, own_claim).objects:
        check(one, version)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_accepts_the_pod_of_a_job(version: str) -> None:
    config = render("flare-client", everything("flare-client")).one("ConfigMap", "county-jobs")["data"]
    template = yaml.safe_load(config["study_runtime.yaml"])["studies"]["default"]["pod_template"]
    template["spec"]["containers"][0]["image"] = "as the launcher sets it"
    check(template, version)


@pytest.mark.parametrize("name", EXAMPLES)
def test_kubernetes_accepts_an_example(name: str) -> None:
    for one in example(name).objects:
        check(one, NEWEST)


@pytest.mark.parametrize(
    ("name", "annotation"),
    [
        ("ingress-nginx", "nginx.ingress.kubernetes.io/ssl-passthrough"),
        ("haproxy", "haproxy.org/ssl-passthrough"),
    ],
)
def test_an_ingress_passes_tls_through_to_the_federation_port(name: str, annotation: str) -> None:
    rendered = example(name)
    ingress = rendered.one("Ingress")
    assert ingress["metadata"]["annotations"][annotation] == "true"
    assert "tls" not in ingress["spec"], "TLS must end in the pod"
    (rule,) = ingress["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    ports = {port["name"] for port in rendered.one("Service", backend["name"])["spec"]["ports"]}
    assert backend["port"]["name"] in ports


def test_a_tls_route_forwards_to_the_federation_port() -> None:
    rendered = example("gateway-api")
    (rule,) = rendered.one("TLSRoute")["spec"]["rules"]
    (backend,) = rule["backendRefs"]
    service = rendered.one("Service", backend["name"])
    assert backend["port"] in [port["port"] for port in service["spec"]["ports"]]
