"""What a site's bundle takes from a cluster that other federations and applications use, too."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from deploy.bundle import site
from deploy.bundle.archive import Bundle
from deploy.bundle.redaction import Redaction


def test_pods_and_events_of_other_federations_are_not_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    selector = "flare/site=site-1,app.kubernetes.io/part-of=hospitals"
    ours = SimpleNamespace(metadata=SimpleNamespace(name="hospital-0", namespace="flare"))
    core, apps = Mock(), Mock()
    core.list_pod_for_all_namespaces.return_value.items = [ours]
    core.list_namespaced_event.return_value.items = [
        SimpleNamespace(
            involved_object=SimpleNamespace(kind="Pod", name=name),
            last_timestamp="now",
            type="Normal",
            reason="Started",
            count=1,
            message=f"started {name}",
        )
        for name in ("hospital-0", "patient-database-0")
    ]
    apps.list_namespaced_stateful_set.return_value.items = []
    cluster = Mock(core=core, apps=apps)
    monkeypatch.setattr("deploy.runtimes.kubernetes.cluster.Cluster", lambda _: cluster)
    monkeypatch.setattr("deploy.runtimes.kubernetes.cluster.current_context", lambda: "context")
    monkeypatch.setattr(site, "pod_facts", lambda *_: [])
    monkeypatch.setattr(site, "pod_logs", lambda *_: {})
    cluster.pods.return_value = [ours]
    bundle = Bundle("test", Redaction())
    facts = SimpleNamespace(name="site-1", project="hospitals")

    site._add_pods(bundle, SimpleNamespace(kit=SimpleNamespace(facts=facts)))  # type: ignore[arg-type]

    core.list_pod_for_all_namespaces.assert_called_once_with(label_selector=selector)
    assert "started hospital-0" in bundle.files["events/flare.json"]
    assert "patient-database" not in bundle.files["events/flare.json"]
