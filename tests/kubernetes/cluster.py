"""The cluster of ../shared/cluster, and releases in it, through helm and kubectl."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from deploy.tools import find_tool
from tests.waiting import eventually

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAM = CHECKOUT.parent / "shared" / "cluster" / "cluster"
CONTEXT = os.environ.get("FLAREFLEET_TEST_CLUSTER", "fed")
"""Context of its kubeconfig, and prefix of its node names."""
CACHE = CHECKOUT / ".cache"
LOCK = CACHE / f"cluster-{CONTEXT}.lock"
"""File that the workers lock to create or delete the cluster and to load images."""
GPUS_LOCK = CACHE / f"cluster-{CONTEXT}-gpus.lock"
"""File that tests lock to use the GPUs of the cluster."""

RESTRICTED: dict[str, Any] = {
    "image": "localhost/busybox:1",
    "imagePullPolicy": "Never",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}
"""A container without a name that Pod Security `restricted` admits."""


class CommandFailedError(Exception):
    """helm or kubectl failed; the message is its output."""


def is_up(name: str) -> bool:
    """Return whether the cluster has nodes."""
    listed = ["docker", "ps", "-q", "--filter", f"label=test-cluster={name}"]
    return bool(subprocess.run(listed, capture_output=True, text=True, check=False).stdout.strip())


def bring_up(name: str, *options: str) -> Cluster:
    """Create a cluster if it does not exist.

    Raises:
        CommandFailedError: it could not be created.
    """
    command = [str(PROGRAM), "up", "--name", name, *options]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise CommandFailedError(f"the cluster {name} could not be created: {made.stderr.strip()}")
    return Cluster(Path(made.stdout.strip().rpartition("=")[2]), name)


def take_down(name: str) -> None:
    subprocess.run([str(PROGRAM), "down", "--name", name], check=False, capture_output=True)


OTHER_STREAMS = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false"}
"""kubectl 1.32 loses output that arrives before it has made its streams ("Unknown stream id 1, discarding
message") if it executes commands over WebSockets, on a busy machine; over SPDY it does not."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    kubeconfig: Path
    name: str = CONTEXT

    def load(self, image: str) -> None:
        """Copy an image from the Docker engine to every node that does not have it."""
        if self.nodes_with(image) != set(self.workers):
            subprocess.run(
                [str(PROGRAM), "load", "--name", self.name, image], check=True, capture_output=True
            )

    def run(self, program: str, *arguments: str, timeout: float = 300) -> str:
        """Return the output of helm or kubectl.

        Raises:
            CommandFailedError: its exit status is not 0.
        """
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), **OTHER_STREAMS}
        command = [str(find_tool(program)), *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=timeout
        )
        if done.returncode:
            raise CommandFailedError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def kubectl(self, *arguments: str) -> str:
        return self.run("kubectl", *arguments)

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return an object, or a list of objects."""
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    def apply(self, manifest: dict[str, Any], namespace: str) -> None:
        """Create or update an object."""
        with NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(manifest, file)
            file.flush()
            self.kubectl("apply", "-n", namespace, "-f", file.name)

    def make_namespace(self, name: str) -> None:
        """Create a namespace that enforces Pod Security `restricted`."""
        self.kubectl("create", "namespace", name)
        self.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")

    def remove_namespaces(self, *names: str, wait: bool = True) -> None:
        waiting = ("--wait=true", "--timeout=90s") if wait else ("--wait=false",)
        self.kubectl("delete", "namespace", "--ignore-not-found", *waiting, *names)

    def run_clients(self, image: str, *namespaces: str) -> None:
        """Run an idle pod `client` in each namespace, and wait until they are ready."""
        quick = json.dumps({"spec": {"terminationGracePeriodSeconds": 0}})
        for name in namespaces:
            self.kubectl(
                *("run", "-n", name, "client", f"--image={image}", "--image-pull-policy=Never"),
                *(f"--overrides={quick}", "--command", "--", "sleep", "infinity"),
            )
        for name in namespaces:
            self.kubectl("wait", "-n", name, "pod/client", "--for=condition=Ready", "--timeout=60s")

    def restarts(self, namespace: str, pod: str) -> int:
        """Return how often the first container of a pod was restarted."""
        return int(self.get("pod", "-n", namespace, pod)["status"]["containerStatuses"][0]["restartCount"])

    def exec(self, namespace: str, pod: str, *command: str) -> str:
        return self.kubectl("exec", "-n", namespace, pod, "--", *command)

    def nodes_with(self, image: str) -> set[str]:
        """Return the workers that have an image."""
        return {node for node in self.workers if image in _ctr(node)}

    @property
    def workers(self) -> list[str]:
        items = self.get("nodes")["items"]
        names = [one["metadata"]["name"] for one in items]
        return [name for name in names if "control-plane" not in name]


def _ctr(node: str) -> str:
    command = ["docker", "exec", node, "ctr", "-n", "k8s.io", "images", "ls", "-q"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@dataclass
class Release:
    """A server or site that is installed from its release folder."""

    cluster: Cluster
    name: str
    namespace: str
    chart: str
    folder: Path
    """release/NAME."""
    extra: list[str] = field(default_factory=list)
    """Further options for helm."""

    @property
    def pod(self) -> str:
        return f"{self.name}-0"

    def apply_key(self, folder: Path | None = None) -> None:
        """Create the Secret with the private key."""
        file = (folder or self.folder) / "key-secret.yaml"
        self.cluster.kubectl("apply", "-n", self.namespace, "-f", str(file))

    def install(self, *options: str) -> str:
        """Install as in INSTALL.md, and return helm's notes."""
        return self._helm("install", *options)

    def upgrade(self, *options: str) -> str:
        return self._helm("upgrade", *options)

    def rollback(self) -> None:
        self.cluster.run("helm", "rollback", self.name, "--namespace", self.namespace)

    def uninstall(self) -> None:
        self.cluster.run("helm", "uninstall", self.name, "--namespace", self.namespace, "--wait")
        self.cluster.kubectl("wait", "-n", self.namespace, f"pod/{self.pod}", "--for=delete", "--timeout=60s")

    def test(self) -> str:
        """Run `helm test`, and return its output with the logs of its pod."""
        return self.cluster.run("helm", "test", self.name, "--namespace", self.namespace, "--logs")

    def wait_until_ready(self, seconds: int = 240) -> None:
        self.cluster.kubectl(
            *("rollout", "status", "-n", self.namespace, f"statefulset/{self.name}", f"--timeout={seconds}s")
        )

    def exec(self, *command: str) -> str:
        return self.cluster.exec(self.namespace, self.pod, *command)

    def python(self, code: str) -> str:
        return self.exec("python3", "-c", code)

    @property
    def pod_uid(self) -> str:
        return self.cluster.get("pod", "-n", self.namespace, self.pod)["metadata"]["uid"]

    @property
    def node(self) -> str:
        return self.cluster.get("pod", "-n", self.namespace, self.pod)["spec"]["nodeName"]

    def exit_reason(self) -> tuple[int, str]:
        """Wait until the parent exits, and return its exit code and termination message."""

        def exited() -> tuple[int, str] | None:
            status = self.cluster.get("pod", "-n", self.namespace, self.pod).get("status", {})
            for container in status.get("containerStatuses", []):
                for state in (container["state"], container.get("lastState", {})):
                    if "terminated" in state:
                        return state["terminated"]["exitCode"], state["terminated"].get("message", "")
            return None

        return eventually(exited, 180, f"{self.pod} has exited", pause=0.5, tolerating=[CommandFailedError])

    def _helm(self, verb: str, *options: str) -> str:
        return self.cluster.run(
            *("helm", verb, self.name, str(CHECKOUT / "helm" / self.chart), "--namespace", self.namespace),
            *("--values", str(self.folder / "values.yaml"), *self.extra, *options),
        )
