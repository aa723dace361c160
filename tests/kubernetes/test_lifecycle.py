"""Upgrade, rollback, uninstall, reinstall, drains, and invalid configurations."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy.images.names import runtime_image
from deploy.project import Image, Project
from deploy.workspace import Workspace
from tests.kubernetes.cluster import CommandFailedError, Release
from tests.kubernetes.conftest import Federation
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes


def with_file_in_the_kit(tmp_path: Path, name: str, text: str) -> Path:
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump({"kit": {"files": {"local": {name: text}}}}))
    return file


def test_an_upgrade_restarts_the_pod_only_if_its_kit_has_changed(
    federation: Federation, tmp_path: Path
) -> None:
    site = federation.site_1
    before = site.pod_uid
    site.upgrade()
    site.wait_until_ready()
    assert site.pod_uid == before
    site.upgrade("--values", str(with_file_in_the_kit(tmp_path, "marker.txt", "changed\n")))
    site.wait_until_ready()
    try:
        assert site.pod_uid != before
        assert site.exec("cat", "/var/lib/flare/local/marker.txt") == "changed\n"
    finally:
        site.rollback()
        site.wait_until_ready()
    assert "marker.txt" not in site.exec("ls", "/var/lib/flare/local")


@pytest.fixture
def next_image(federation: Federation, project: tuple[Project, Workspace]) -> Iterator[Image]:
    """Tag the runtime image on every node as a new release."""
    image = project[0].image.model_copy(update={"tag": f"{project[0].image.tag}-next"})
    before, after = (f"docker.io/{runtime_image(one)}" for one in (project[0].image, image))

    def on_every_node(*command: str) -> None:
        for node in federation.cluster.workers:
            ctr = ["docker", "exec", node, "ctr", "-n", "k8s.io", "images", *command]
            subprocess.run(ctr, check=True, capture_output=True)

    on_every_node("tag", "--force", before, after)
    yield image
    on_every_node("rm", after)


def test_an_upgrade_to_another_image_runs_it_on_the_same_volume(
    federation: Federation, next_image: Image
) -> None:
    site, cluster = federation.site_1, federation.cluster
    site.exec("touch", "/var/lib/flare/of-the-previous-image")
    site.upgrade("--set", f"image.tag={next_image.tag}-{next_image.variant}")
    site.wait_until_ready()
    (container,) = cluster.get("pod", "-n", site.namespace, site.pod)["spec"]["containers"]
    assert container["image"] == runtime_image(next_image)
    assert "of-the-previous-image" in site.exec("ls", "/var/lib/flare")
    assert "Succeeded" in site.test()
    site.rollback()
    site.wait_until_ready()


def test_a_rollback_repairs_an_upgrade_to_a_missing_image(federation: Federation) -> None:
    site = federation.site_2
    site.upgrade("--set", "image.tag=not-there,image.pullPolicy=Never")

    def does_not_start() -> bool:
        status = federation.cluster.get("pod", "-n", site.namespace, site.pod)["status"]
        waiting = [one["state"].get("waiting", {}) for one in status.get("containerStatuses", [])]
        return any(one.get("reason") == "ErrImageNeverPull" for one in waiting)

    eventually(does_not_start, 180, "the pod cannot start", pause=0.5, tolerating=[CommandFailedError])
    site.rollback()
    site.wait_until_ready()
    assert "Succeeded" in site.test()


def test_an_uninstall_keeps_only_the_volume_which_a_reinstall_uses(federation: Federation) -> None:
    site, cluster = federation.site_2, federation.cluster
    site.exec("touch", "/var/lib/flare/kept")
    site.uninstall()
    kinds = (
        "all,configmaps,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,pvc,secrets"
    )
    left = cluster.get(kinds, "-n", site.namespace, "-l", "app.kubernetes.io/instance=site-2")["items"]
    assert [(one["kind"], one["metadata"]["name"]) for one in left] == [
        ("PersistentVolumeClaim", "workspace-site-2-0")
    ]
    site.install()
    site.wait_until_ready()
    assert "kept" in site.exec("ls", "/var/lib/flare")
    assert "Succeeded" in site.test()


def test_the_volume_is_deleted_with_the_release_if_configured(new_site: Release) -> None:
    new_site.install("--set", "persistence.whenDeleted=Delete")
    new_site.wait_until_ready()
    new_site.uninstall()
    eventually(
        lambda: not new_site.cluster.get("pvc", "-n", new_site.namespace)["items"],
        30,
        "the volume is deleted",
        tolerating=[CommandFailedError],
    )


def test_a_pod_stops_within_its_grace_period(federation: Federation) -> None:
    """NVFlare as PID 1 would ignore SIGTERM until the grace period ends."""
    site = federation.site_1
    before = site.pod_uid
    federation.cluster.kubectl("delete", "pod", "-n", site.namespace, site.pod, "--timeout=20s")
    eventually(lambda: site.pod_uid != before, 180, "there is a new pod", tolerating=[CommandFailedError])
    site.wait_until_ready()


def test_a_disruption_budget_of_zero_blocks_a_drain(new_site: Release) -> None:
    cluster = new_site.cluster
    new_site.install("--set", "podDisruptionBudget.maxUnavailable=0")
    new_site.wait_until_ready()
    node, before = new_site.node, new_site.pod_uid
    one = f"--pod-selector=app.kubernetes.io/instance={new_site.name}"
    try:
        with pytest.raises(CommandFailedError, match="would violate the pod's disruption budget"):
            cluster.kubectl("drain", node, one, "--delete-emptydir-data", "--timeout=4s")
    finally:
        cluster.kubectl("uncordon", node)
    assert new_site.pod_uid == before


def test_the_key_of_another_site_is_rejected(
    new_site: Release, federation: Federation, tmp_path: Path
) -> None:
    secret = (federation.site_1.folder / "key-secret.yaml").read_text()
    (tmp_path / "key-secret.yaml").write_text(secret.replace("site-1-key", f"{new_site.name}-key"))
    new_site.cluster.kubectl("delete", "secret", "-n", new_site.namespace, f"{new_site.name}-key")
    new_site.apply_key(tmp_path)
    new_site.install()
    code, message = new_site.exit_reason()
    assert code == 13
    assert "key" in message


def test_an_upgrade_to_another_nvflare_is_rejected_and_a_rollback_repairs_it(
    new_site: Release, tmp_path: Path
) -> None:
    new_site.install()
    new_site.wait_until_ready()
    values = yaml.safe_load((new_site.folder / "values.yaml").read_text())
    facts = json.loads(values["kit"]["files"]["local"]["flarefleet.json"]) | {"nvflare": "2.8.0"}
    new_site.upgrade("--values", str(with_file_in_the_kit(tmp_path, "flarefleet.json", json.dumps(facts))))

    def rejected() -> str | None:  # the previous pod exits, too
        code, message = new_site.exit_reason()
        return message if code == 12 else None

    message = eventually(rejected, 180, "the upgrade is rejected", pause=0.5, tolerating=[CommandFailedError])
    assert "2.8.0" in message
    assert "2.9.0" in message

    new_site.rollback()

    new_site.wait_until_ready()


def test_a_full_volume_is_reported(new_site: Release) -> None:
    new_site.install("--set", "persistence.storageClassName=tiny,persistence.size=32Mi")
    new_site.wait_until_ready()
    new_site.exec("dd", "if=/dev/zero", "of=/var/lib/flare/filling", "bs=1M", "count=40", "status=none")
    new_site.cluster.kubectl("delete", "pod", "-n", new_site.namespace, new_site.pod)
    code, message = new_site.exit_reason()
    assert code == 16
    assert "free" in message
