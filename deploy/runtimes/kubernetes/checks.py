"""What `up` requires before it installs releases: helm, a kubeconfig, and a cluster that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.runtimes.kubernetes.cluster import ANSWER_SECONDS, explained_errors
from deploy.runtimes.kubernetes.connectivity import needs_service_address
from deploy.runtimes.kubernetes.helm import find_helm
from fl_app.checks.check import Category, Check

if TYPE_CHECKING:
    from deploy.runtimes.kubernetes.runtime import KubernetesRuntime


def _helm(_: object) -> str:
    return str(find_helm().program)


def _contexts(runtime: KubernetesRuntime) -> str:
    return ", ".join(dict.fromkeys(member.context for member in runtime.next_plan().members))


def _server_address(runtime: KubernetesRuntime) -> None:
    needs_service_address(runtime.next_plan(), runtime.participants[runtime.project.server.name])


def _clusters(runtime: KubernetesRuntime) -> str:
    first_of = {member.context: member for member in runtime.next_plan().members}
    for member in first_of.values():
        with explained_errors():
            runtime.cluster(member).core.get_api_resources()
    return f"{', '.join(first_of)} answers" if len(first_of) == 1 else f"{', '.join(first_of)} answer"


CHECKS: tuple[Check[KubernetesRuntime], ...] = (
    Check(
        "helm",
        Category.KUBERNETES,
        "helm and the charts are on this machine.",
        "Install helm, or download it: `make tools` in a checkout, otherwise `python -m deploy.tools` with "
        "the Python of Flarefleet.",
        _helm,
    ),
    Check(
        "kubeconfig",
        Category.KUBERNETES,
        "The kubeconfig has a context for the server and every site.",
        "Get a kubeconfig from the cluster's administrator, and select a context: "
        "`kubectl config use-context NAME`, or `up --context NAME`.",
        _contexts,
        is_fatal=True,
    ),
    Check(
        "server-address",
        Category.KUBERNETES,
        "Every site can reach the server by a name in the server's certificate.",
        "Add the name of the server's Service or a public name to `host_names` and provision again.",
        _server_address,
    ),
    Check(
        "cluster",
        Category.KUBERNETES,
        "Every cluster answers, and accepts the credentials of the kubeconfig.",
        "Check that the cluster is running and the credentials are valid: `kubectl get nodes`.",
        _clusters,
        deadline=2 * ANSWER_SECONDS,
    ),
)
