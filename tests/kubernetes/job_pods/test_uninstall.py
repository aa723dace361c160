"""What becomes of job pods whose parent goes. Run last: a site is gone afterwards."""

from __future__ import annotations

import pytest

from tests.federation.federation import Federation
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.job_pods.wards import EVERYWHERE, PATIENCE, job_pods, namespace, secrets
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes


def test_a_parent_that_starts_again_and_an_uninstall_leave_no_job_pod(
    wards: Federation, cluster: Cluster
) -> None:
    """NVFlare goes on to call the job RUNNING: it is lost with the site's parent."""
    submitted = wards.flarefleet("submit", "probe", "--detach", "--set", "rounds=200", "--set", "seconds=1")
    assert submitted.returncode == 0, submitted.stderr
    eventually(
        lambda: all(job_pods(wards, cluster, name) for name in EVERYWHERE), PATIENCE, "job pods are there"
    )

    wards.kill("site-1")
    eventually(lambda: not job_pods(wards, cluster, "site-1"), PATIENCE, "the next parent clears up")

    where = namespace(wards, "site-2")
    cluster.run("helm", "uninstall", "site-2", "-n", where, "--wait")
    eventually(lambda: not cluster.get("pods", "-n", where)["items"], PATIENCE, "no pod outlives its release")
    eventually(
        lambda: len(secrets(wards, cluster, "site-2")) == 1, PATIENCE, "the operator's key alone is left"
    )
