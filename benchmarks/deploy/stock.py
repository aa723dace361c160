"""Deployment with stock NVFlare: `nvflare provision`, `deploy prepare`, `deploy k8s stage`, then helm.

Only defaults that do not work here are changed: volumes, the path of the image's Python, pull policies (the
image is loaded, not pulled), requests, the image of job pods, and the address in the administrator's kit,
which uses `kubectl port-forward`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks.deploy.federation import (
    READY_WITHIN,
    InCluster,
    helm,
    kubectl,
    program,
    run,
    stopwatch,
)
from benchmarks.project import ADMIN, NAME
from deploy.ports import free_ports
from deploy.tools import find_tool

PYTHON = "/opt/flare/bin/python3"
SERVICE = "nvflare-server"
CLAIM = "nvflws"
STORAGE = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
VOLUME = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM}, "spec": STORAGE}


class Stock(InCluster):
    """A federation deployed with stock NVFlare."""

    def prepare(self) -> None:
        host = f"{SERVICE}.{self.namespace('server')}.svc.cluster.local"
        self.write_project(server={"default_host": host, "host_names": ["localhost"]})
        run(program("nvflare"), "provision", "-p", "project.yml", "-w", "workspace", cwd=self.folder)
        for name in ("server", *self.sites):
            self._prepare_one(name)
            kubectl("create", "namespace", self.namespace(name))
            claim = self.folder / "claim.json"
            claim.write_text(json.dumps(VOLUME))
            kubectl("apply", "-n", self.namespace(name), "-f", str(claim))
            stage = ("deploy", "k8s", "stage", str(self._prepared(name)), "--namespace", self.namespace(name))
            run(program("nvflare"), *stage, cwd=self.folder)
            if self.launcher == "process":
                self._launch_processes(name)

    def install(self) -> None:
        """Install with helm. Staging is not timed."""
        for name in ("server", *self.sites):
            chart = str(self._prepared(name) / "helm_chart")
            helm("upgrade", "--install", name, chart, "--namespace", self.namespace(name))
        deadline = time.monotonic() + READY_WITHIN
        while f"Total clients: {len(self.sites)}" not in (log := self.server_log()):
            if time.monotonic() > deadline:
                raise SystemExit(f"stock NVFlare is not ready:\n{log[-3000:]}")
            time.sleep(0.3)

    def down(self) -> float:
        """Uninstall, and wait until the parents are gone. NVFlare does not delete finished job pods."""
        running = "--field-selector=status.phase=Running"
        with stopwatch() as seconds:
            for name in ("server", *self.sites):
                helm("uninstall", name, "--namespace", self.namespace(name), "--ignore-not-found")
            for name in ("server", *self.sites):
                gone = ("--all", running, "-n", self.namespace(name), "--for=delete", "--timeout=120s")
                kubectl("wait", "pods", *gone)
        return seconds[0]

    @contextlib.contextmanager
    def admin_kit(self) -> Iterator[Path]:
        port = free_ports(1)[0]
        kit = self.folder / "admin"
        shutil.copytree(self._kit(ADMIN), kit)
        file = kit / "startup" / "fed_admin.json"
        document = json.loads(file.read_text())
        document["admin"] |= {"host": "localhost", "port": port}
        file.write_text(json.dumps(document))
        forward = ("port-forward", "-n", self.namespace("server"), f"service/{SERVICE}", f"{port}:8002")
        process = subprocess.Popen(
            [str(find_tool("kubectl")), *forward], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        process.stdout.readline()  # "Forwarding from ..."
        try:
            yield kit
        finally:
            process.kill()
            process.wait()

    def _prepare_one(self, name: str) -> None:
        config = {
            "runtime": "k8s",
            "namespace": self.namespace(name),
            "parent": {
                "docker_image": self.image,
                "python_path": PYTHON,
                "workspace_pvc": CLAIM,
                "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}},
            },
            "job_launcher": {"default_python_path": PYTHON},
        }
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(config))
        output = self._prepared(name)
        prepare = ("deploy", "prepare", str(self._kit(name)), "--output", str(output), "--config", str(file))
        run(program("nvflare"), *prepare, cwd=self.folder)
        _change(
            output / "helm_chart" / "values.yaml",
            lambda values: values["image"].update(pullPolicy="IfNotPresent"),
        )
        pod = {"spec": {"containers": [{"name": "nvflare_job", "imagePullPolicy": "IfNotPresent"}]}}
        study = {
            "container": {"image": self.image},
            "pod_template": {"apiVersion": "v1", "kind": "Pod", **pod},
        }
        _change(output / "local" / "study_runtime.yaml", lambda d: d.update(studies={"default": study}))

    def _launch_processes(self, name: str) -> None:
        """Replace the staged launcher of job pods by the original launcher of processes."""
        original = json.loads((self._kit(name) / "local" / "resources.json.default").read_text())
        launchers = [one for one in original["components"] if "launcher" in one["id"]]
        staged = ("configmap", f"nvflare-local-{name}", "-n", self.namespace(name))
        found = json.loads(kubectl("get", *staged, "-o", "json"))
        for key, content in found["binaryData"].items():
            text = base64.b64decode(content).decode()
            if "k8s_launcher" not in text or not text.lstrip().startswith("{"):
                continue
            document = json.loads(text)
            others = [one for one in document["components"] if "launcher" not in one["id"]]
            changed = json.dumps(document | {"components": others + launchers}).encode()
            patch = {"binaryData": {key: base64.b64encode(changed).decode()}}
            kubectl("patch", *staged, "--type", "merge", "--patch", json.dumps(patch))

    def _kit(self, name: str) -> Path:
        return self.folder / "workspace" / NAME / "prod_00" / name

    def _prepared(self, name: str) -> Path:
        return self.folder / "prepared" / name


def _change(file: Path, change: Any) -> None:
    document = yaml.safe_load(file.read_text())
    change(document)
    file.write_text(yaml.safe_dump(document, sort_keys=False))
