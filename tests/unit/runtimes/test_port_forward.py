"""The local ports of port forwards."""

from __future__ import annotations

import pytest

from deploy.runtimes.kubernetes import port_forward
from deploy.runtimes.kubernetes.plan import InstallationPlan, ReleaseTarget
from deploy.runtimes.kubernetes.port_forward import TELEMETRY, PortForward, PortForwardList


def target(name: str) -> ReleaseTarget:
    return ReleaseTarget(name=name, role="client", context="fed", namespace=name, release=name)


def test_a_new_forward_does_not_get_the_kept_port_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    server, site = target("flare-server"), target("site-1")
    kept = PortForward(
        name=site.name,
        purpose=TELEMETRY,
        context=site.context,
        namespace=site.namespace,
        selector=site.selector,
        port=8100,
        local_port=20_000,
    )
    monkeypatch.setattr(
        port_forward,
        "free_ports",
        lambda count, besides=(): [port for port in range(20_000, 20_010) if port not in besides][:count],
    )

    wanted = port_forward._wanted(
        InstallationPlan(members=(server, site)), 8002, 8003, PortForwardList(forwards=(kept,)), keep_all=True
    )

    ports = [one.local_port for one in wanted.forwards]
    assert wanted.find(site.name, TELEMETRY) == kept.model_copy(update={"port": port_forward.TELEMETRY_PORT})
    assert len(set(ports)) == len(ports) == 4
