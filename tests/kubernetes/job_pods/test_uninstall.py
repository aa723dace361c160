"""Job pods are deleted with their parent. This runs last, because it uninstalls a site."""

from __future__ import annotations

import pytest

from tests.federation.federation import Federation
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.job_pods.job_objects import (
    PARTICIPANTS,
    TIMEOUT,
    job_pods,
    namespace,
    pod_uids,
    secrets,
)
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes


def test_a_restart_of_the_parent_and_an_uninstall_delete_job_pods(
    federation: Federation, cluster: Cluster
) -> None:
    federation.submit("probe", rounds=200, seconds=1)
    eventually(
        lambda: all(job_pods(federation, cluster, name) for name in PARTICIPANTS),
        TIMEOUT,
        "all have a job pod",
    )

    orphans = pod_uids(federation, cluster, "site-1")
    federation.kill("site-1")
    eventually(
        lambda: not orphans & pod_uids(federation, cluster, "site-1"),
        TIMEOUT,
        "the restarted parent deletes it",
    )

    where = namespace(federation, "site-2")
    cluster.run("helm", "uninstall", "site-2", "-n", where, "--wait")
    eventually(lambda: not cluster.get("pods", "-n", where)["items"], TIMEOUT, "no pod is left")
    eventually(
        lambda: len(secrets(federation, cluster, "site-2")) == 1, TIMEOUT, "only the private key is left"
    )
