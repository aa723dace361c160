"""Collect the bundle of one site: from its release folder, and from its container or pods."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path

import yaml

from deploy.bundle.archive import Bundle
from deploy.bundle.known_secrets import KnownSecrets
from deploy.bundle.machine import (
    container_facts,
    container_log,
    event_facts,
    listing,
    pod_facts,
    pod_logs,
    versions,
)
from deploy.bundle.redaction import Redaction
from deploy.doctor.examination import as_documents
from deploy.doctor.handed_out import SiteRelease, is_release, site_groups
from deploy.errors import InputError
from deploy.release.compose import LABEL_PROJECT
from fl_app.contract import LABEL_SITE

SETTINGS = ("values.yaml", "own.yaml", "compose.yaml")


def collect_site(folder: Path) -> Bundle:
    """Collect versions, settings, the doctor's findings, and the state and log of the site.

    Raises:
        InputError: `folder` is not a release folder.
    """
    if not is_release(folder):
        raise InputError(f"{folder} is not a release folder: kit/local/flarefleet.json is missing")
    release = SiteRelease(folder)
    known = KnownSecrets()
    known.add_environment(os.environ)
    known.add_folder(folder)
    bundle = Bundle(
        f"the site of {folder.absolute()}", Redaction(known.values, known.key_lines), problems=known.problems
    )
    bundle.collect("versions", lambda: bundle.add_document("versions.json", versions()))
    bundle.collect("files", lambda: bundle.add_text("files.txt", listing(folder)))
    for file in (folder / name for name in SETTINGS):
        if file.is_file():
            bundle.collect(file.name, partial(_add_settings, bundle, file))
    bundle.collect("doctor", lambda: bundle.add_document("doctor.json", as_documents(site_groups(folder))))
    bundle.collect("Docker", lambda: _add_containers(bundle, release))
    bundle.collect("Kubernetes", lambda: _add_pods(bundle, release))
    return bundle


def _add_settings(bundle: Bundle, file: Path) -> None:
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    bundle.files[file.name] = yaml.safe_dump(bundle.redaction.document(document), sort_keys=False)


def _add_containers(bundle: Bundle, release: SiteRelease) -> None:
    from deploy.docker_engine import connect

    facts = release.kit.facts
    labels = [f"{LABEL_SITE}={facts.name}", f"{LABEL_PROJECT}={facts.project}"]
    found = connect().containers.list(all=True, filters={"label": labels}, ignore_removed=True)
    if found:
        bundle.add_document("containers.json", [container_facts(one) for one in found])
    for container in found:
        bundle.add_text(f"logs/{container.name}.txt", container_log(container))


def _add_pods(bundle: Bundle, release: SiteRelease) -> None:
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import list_kube_config_contexts

    from deploy.runtimes.kubernetes.cluster import Cluster, current_context, explained_errors

    context = current_context()
    if context is None:
        return
    facts = release.kit.facts
    selector = f"{LABEL_SITE}={facts.name},app.kubernetes.io/part-of={facts.project}"
    with explained_errors():
        cluster = Cluster(context)
        try:
            pods = cluster.core.list_pod_for_all_namespaces(label_selector=selector).items
            namespaces = {pod.metadata.namespace for pod in pods}
        except ApiException:  # this user may only read the context's own namespace
            active = list_kube_config_contexts()[1]
            namespaces = {active["context"].get("namespace", "default")}
        for namespace in sorted(namespaces):
            own = {pod.metadata.name for pod in cluster.pods(namespace, selector)}
            with suppress(ApiException):  # this user may not list them
                found = cluster.apps.list_namespaced_stateful_set(namespace, label_selector=selector)
                own |= {one.metadata.name for one in found.items}
            bundle.add_document(f"pods/{namespace}.json", pod_facts(cluster, namespace, selector))
            bundle.add_document(f"events/{namespace}.json", event_facts(cluster, namespace, own))
            for name, text in pod_logs(cluster, namespace, selector).items():
                bundle.add_text(f"logs/{name}.txt", text)
