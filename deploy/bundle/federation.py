"""Collect the bundle of a whole federation, on the operator's machine."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from deploy.bundle.archive import Bundle
from deploy.bundle.known_secrets import KnownSecrets
from deploy.bundle.machine import LOG_LINES, container_facts, event_facts, pod_facts, pod_logs, versions
from deploy.bundle.redaction import Redaction
from deploy.doctor.examination import as_documents
from deploy.doctor.operator import Operator, groups
from deploy.runtimes.protocol import LogPart

if TYPE_CHECKING:
    from deploy.runtimes.docker.runtime import DockerRuntime
    from deploy.runtimes.kubernetes.runtime import KubernetesRuntime
    from deploy.runtimes.protocol import Runtime


def collect_federation(operator: Operator) -> Bundle:
    """Collect versions, project.yml, the state and log of each site, jobs, events, and the doctor's report.

    What cannot be collected, for example because project.yml is invalid, is listed in the bundle.
    """
    known = _known(operator)
    bundle = Bundle(
        str(operator.project_file), Redaction(known.values, known.key_lines), problems=known.problems
    )
    bundle.collect("versions", lambda: bundle.add_document("versions.json", versions()))
    bundle.collect("project.yml", lambda: _add_project(bundle, operator))
    bundle.collect("doctor", lambda: bundle.add_document("doctor.json", as_documents(groups(operator))))
    bundle.collect("federation", lambda: _add_runtime(bundle, operator))
    return bundle


def _known(operator: Operator) -> KnownSecrets:
    found = KnownSecrets()
    found.add_environment(os.environ)
    found.add_folder(operator.workspace_folder)
    for file in operator.project_file.absolute().parent.glob("*.env"):
        found.add_settings(file)
    with suppress(Exception):  # project.yml is invalid, which the doctor reports
        found.add_credentials(operator.project.credentials_file or Path())
    return found


def _add_project(bundle: Bundle, operator: Operator) -> None:
    """Add project.yml without its comments, which may hold anything."""
    document = yaml.safe_load(operator.project_file.read_text(encoding="utf-8"))
    bundle.files["project.yml"] = yaml.safe_dump(
        bundle.redaction.document(document), sort_keys=False, allow_unicode=True
    )


def _add_runtime(bundle: Bundle, operator: Operator) -> None:
    name = operator.runtime
    if name is None:
        bundle.problems.append("federation: it is not running on any runtime")
        return
    runtime = operator.open(name)
    bundle.collect("status", lambda: bundle.add_document("status.json", runtime.status().model_dump()))
    bundle.collect("jobs", lambda: _add_jobs(bundle, operator, runtime))
    if name == "kubernetes":
        _add_cluster(bundle, runtime)  # type: ignore[arg-type]
        return
    for parent in operator.project.parents:
        bundle.collect(f"log of {parent.name}", partial(_add_log, bundle, runtime, parent.name))
    if name == "docker":
        bundle.collect("containers", lambda: _add_containers(bundle, runtime))  # type: ignore[arg-type]
    supervisor = operator.workspace.run(name) / "supervisor.log"
    if supervisor.is_file():
        bundle.add_text("logs/supervisor.txt", _end(supervisor))


def _add_log(bundle: Bundle, runtime: Runtime, site: str) -> None:
    bundle.add_text(f"logs/{site}.txt", "\n".join(runtime.logs(site, part=LogPart(tail=LOG_LINES))))


def _add_jobs(bundle: Bundle, operator: Operator, runtime: Runtime) -> None:
    """Add what the server says about its jobs."""
    from deploy.session import AdminKit, open_session
    from deploy.session.administrators import choose_administrator

    kit = runtime.admin_kit(choose_administrator(operator.project, operator.workspace))
    with open_session(AdminKit.read(kit)) as session:
        bundle.add_document("jobs.json", [asdict(job) for job in session.jobs()])


def _add_containers(bundle: Bundle, runtime: DockerRuntime) -> None:
    bundle.add_document("containers.json", [container_facts(one) for one in runtime.containers()])


def _add_cluster(bundle: Bundle, runtime: KubernetesRuntime) -> None:
    from deploy.runtimes.kubernetes.cluster import explained_errors

    def add(name: str) -> None:
        target = runtime.target(name)
        with explained_errors():
            cluster, where = runtime.cluster(target), target.namespace
            bundle.add_document(f"pods/{name}.json", pod_facts(cluster, where, target.instance_selector))
            bundle.add_document(f"events/{name}.json", event_facts(cluster, where))
            for log, text in pod_logs(cluster, where, target.instance_selector).items():
                bundle.add_text(f"logs/{log}.txt", text)

    for parent in runtime.project.parents:
        bundle.collect(parent.name, partial(add, parent.name))


def _end(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as lines:
        return "".join(deque(lines, LOG_LINES))
