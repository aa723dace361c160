"""A federation in the cluster of ../shared/cluster, whose nodes are containers on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import cached_property, partial
from pathlib import Path
from secrets import token_hex
from typing import Any

import psutil

from benchmarks.chaos.host import DISK_MIB, OnThisMachine
from benchmarks.chaos.kills import SERVER, Fault
from benchmarks.project import NAME, write_project
from deploy.docker_engine import connect
from deploy.images.build import build_runtime
from deploy.images.inputs import source_digest
from deploy.images.names import runtime_image
from deploy.project import Image
from deploy.runtimes.kubernetes.runtime import KubernetesRuntime
from deploy.tools import find_tool

_CLUSTER = Path(__file__).resolve().parents[3] / "shared" / "cluster" / "cluster"
UP_SECONDS = 240.0
_SMALL = "tiny"
"""StorageClass of a file system in the memory of each node; a parent needs more than its 64 MiB."""
_SMALL_FOLDER = "/var/lib/volumes/tiny"
_ON_A_NODE = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")


class Kubernetes(OnThisMachine):
    """Pods. KUBECONFIG names the cluster."""

    runtime: KubernetesRuntime
    image: Image
    launcher = "process"
    up_seconds = UP_SECONDS
    loses_output = True  # with a pod that is evicted, or a job pod that has finished

    def write_project(self) -> None:
        """Load the image of these sources on every node; write project.yml with a namespace for each part."""
        self._load_image()
        host = f"{SERVER}.{self._namespace(SERVER)}.svc"
        server = {"name": SERVER, "fed_learn_port": 8002, "default_host": host}
        settings = self.deployment()
        settings["deployment"] |= {
            "image": self.image.model_dump(),
            "defaults": {"storage": "1Gi", "launcher": self.launcher},
            "sites": {name: {"namespace": self._namespace(name)} for name in self.parts},
        }
        write_project(self.folder, server, self.sites, scheme="http", **settings)

    def open_runtime(self) -> KubernetesRuntime:
        """Return the runtime."""
        return KubernetesRuntime(self.project, self.workspace)

    def mount(self, name: str) -> None:
        """Create the claim of a server or site before its StatefulSet does, on a volume of DISK_MIB."""
        for node in _nodes_for_pods():
            self._small_volumes[node] = _size_of_small_volume(node)
            _resize_small_volume(node, f"size={DISK_MIB}m")
        kubectl("create", "namespace", self._namespace(name))
        spec = {
            "storageClassName": _SMALL,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "32Mi"}},
        }
        metadata = {"name": f"workspace-{name}-0", "namespace": self._namespace(name)}
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": spec,
        }
        kubectl("create", "-f", "-", typed=json.dumps(claim))

    def prepare(self, fault: Fault, name: str) -> Callable[[], object]:
        """Return what begins a fault."""
        if fault is Fault.DELETE_POD:
            pod = ("-n", self._namespace(name), f"{name}-0")
            return partial(kubectl, "delete", "pod", *pod, "--wait=false")
        if fault is Fault.EVICT:
            return partial(self._evict, name)
        if fault is Fault.DRAIN:
            return partial(kubectl, "drain", self._node(name), *_ON_A_NODE)
        if fault is Fault.KILL_NODE:
            self._nodes[name] = node = self._node(name)
            print(f"{node}: {self._pods_of_node(node)}", file=sys.stderr)
            return partial(subprocess.run, ["docker", "kill", node], check=True, capture_output=True)
        return super().prepare(fault, name)

    def end(self, fault: Fault, name: str) -> None:
        """End a fault."""
        if fault is Fault.DRAIN:
            for node in kubectl("get", "nodes", "-o", "name").split():
                kubectl("uncordon", node)
        elif fault is Fault.KILL_NODE:
            subprocess.run(["docker", "start", self._nodes.pop(name)], check=True, capture_output=True)
        else:
            super().end(fault, name)

    def first_process(self, name: str) -> psutil.Process:
        """Return process 1 of the container of a pod."""
        return _first_process(self._pods(name, f"app.kubernetes.io/component={self._role(name)}")[0])

    def output(self, name: str) -> Iterator[str]:
        """Yield the lines of a pod and of its job pods."""
        selector = f"app.kubernetes.io/instance={name}"
        for previous in ((), ("--previous",)):
            with suppress(RuntimeError):
                where = ("-n", self._namespace(name), "-l", selector, "--tail=-1", "--ignore-errors")
                yield from kubectl("logs", *where, *previous).splitlines()

    def close(self) -> None:
        """Delete the namespaces, and give the volume of other federations its size back."""
        names = [self._namespace(name) for name in self.parts]
        wait = f"--wait={'true' if self._small_volumes else 'false'}"
        kubectl("delete", "namespace", "--ignore-not-found", wait, *names)
        for node, size in self._small_volumes.items():
            _resize_small_volume(node, size)

    @cached_property
    def _small_volumes(self) -> dict[str, str]:
        """The mount option for the former size of the small volume of each node."""
        return {}

    @property
    def _nodes(self) -> dict[str, str]:
        return self.__dict__.setdefault("_killed", {})

    def _namespace(self, name: str) -> str:
        return f"{NAME}-{self._token}-{name}"

    @cached_property
    def _token(self) -> str:
        """What tells the namespaces of two federations in one cluster apart."""
        return token_hex(2)

    def _load_image(self) -> None:
        self.image = Image(registry="flarefleet-chaos", tag=source_digest("cpu")[:12])
        with closing(connect()) as engine:
            name = runtime_image(self.image)
            if not any(name in one.tags for one in engine.images.list()):
                build_runtime(engine, self.image)
        if self._is_loaded(name):
            return
        cluster = kubectl("config", "current-context").strip()
        subprocess.run([str(_CLUSTER), "load", "--name", cluster, name], check=True, capture_output=True)

    @staticmethod
    def _is_loaded(image: str) -> bool:
        """Return whether all nodes that take pods have an image."""
        images = [
            [name for one in node["status"].get("images", ()) for name in one.get("names", ())]
            for node in _nodes_for_pods().values()
        ]
        return all(any(name.endswith(image) for name in names) for names in images)

    def _role(self, name: str) -> str:
        return "server" if name == SERVER else "client"

    def _pods(self, name: str, selector: str = "") -> list[str]:
        """Return the uids of the running pods of a server or site."""
        where = ("-n", self._namespace(name), *(("-l", selector) if selector else ()))
        pods = json.loads(kubectl("get", "pods", *where, "-o", "json"))["items"]
        found = [
            pod["metadata"]["uid"]
            for pod in pods
            if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]
        if not found:
            raise RuntimeError(f"{name} has no running pod")
        return found

    def _pods_of_node(self, node: str) -> str:
        names = ("-o", "jsonpath={.items[*].metadata.name}")
        return kubectl("get", "pods", "-A", "--field-selector", f"spec.nodeName={node}", *names)

    def _node(self, name: str) -> str:
        where = ("-n", self._namespace(name), f"{name}-0")
        return kubectl("get", "pod", *where, "-o", "jsonpath={.spec.nodeName}")

    def _evict(self, name: str) -> None:
        namespace = self._namespace(name)
        metadata = {"name": f"{name}-0", "namespace": namespace}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        path = f"/api/v1/namespaces/{namespace}/pods/{name}-0/eviction"
        kubectl("create", "--raw", path, "-f", "-", typed=json.dumps(eviction))


class KubernetesJobPods(Kubernetes):
    """Pods, with a pod for each job."""

    launcher = "pod"

    def job_processes(self, name: str) -> list[psutil.Process]:
        """Return process 1 of each job pod."""
        own = self._pods(name, f"app.kubernetes.io/component={self._role(name)}")
        found = []
        for uid in self._pods(name):
            if uid not in own:
                with suppress(RuntimeError):  # it is starting or has ended
                    found.append(_first_process(uid))
        return found

    def processes(self, name: str) -> list[psutil.Process]:
        """Return every process of a server or site, those of its job pods included."""
        jobs = self.job_processes(name)
        return [
            *super().processes(name),
            *(process for job in jobs for process in (job, *job.children(recursive=True))),
        ]

    def in_networks(self, name: str) -> list[psutil.Process]:
        """Return a process in each pod of a server or site."""
        return super().in_networks(name) + self.job_processes(name)


def kubectl(*arguments: str, typed: str = "") -> str:
    """Return the output of kubectl.

    Raises:
        RuntimeError: it failed.
    """
    command = [str(find_tool("kubectl")), *arguments]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, check=False, timeout=180)
    if done.returncode:
        raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _nodes_for_pods() -> dict[str, Any]:
    """Return the nodes that take pods, by name."""
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    return {node["metadata"]["name"]: node for node in nodes if not node["spec"].get("taints")}


def _size_of_small_volume(node: str) -> str:
    """Return the mount option for its size, such as `size=65536k`."""
    mounts = _on_node(node, "cat", "/proc/mounts")
    options = next(line.split()[3] for line in mounts.splitlines() if line.split()[1] == _SMALL_FOLDER)
    return next(one for one in options.split(",") if one.startswith("size="))


def _resize_small_volume(node: str, size: str) -> None:
    _on_node(node, "mount", "-o", f"remount,{size}", _SMALL_FOLDER)


def _on_node(node: str, *command: str) -> str:
    done = subprocess.run(["docker", "exec", node, *command], check=True, capture_output=True, text=True)
    return done.stdout


def _first_process(uid: str) -> psutil.Process:
    """Return process 1 of the container of a pod; each node is a container, so that this kernel runs it."""
    for process in psutil.process_iter(["name"]):
        with suppress(OSError, psutil.Error):
            if process.info["name"] == "pause" or uid not in _read(process, "cgroup"):
                continue
            status = dict(line.split(":", 1) for line in _read(process, "status").splitlines())
            if status["NSpid"].split()[-1] == "1":
                return process
    raise RuntimeError(f"no process of the pod {uid} is running")


def _read(process: psutil.Process, file: str) -> str:
    return Path(f"/proc/{process.pid}/{file}").read_text()
