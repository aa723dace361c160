"""Debian's docker-registry, for images and charts."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.ports import free_ports
from tests.skipping import skip_or_fail_in_ci
from tests.waiting import eventually

Registry = Callable[..., str]
USER, PASSWORD = "hospital", "let-me-in"
PASSWORD_FILE = f"{USER}:$2b$05$abcdefghijklmnopqrstuu3Jd./u/rH1RxB6auX5v7gLP6uWhKCgG\n"


@contextmanager
def registries(folder: Path) -> Iterator[Registry]:
    """Yield a function that starts a registry with its data in a folder and returns its address."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*, login: bool = False) -> str:
        program = shutil.which("docker-registry")
        if program is None:
            skip_or_fail_in_ci("docker-registry is not installed (Debian's package of that name)")
        port = free_ports(1)[0]
        (folder / "htpasswd").write_text(PASSWORD_FILE, encoding="utf-8")
        config = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
            "http": {"addr": f"127.0.0.1:{port}"},
        }
        if login:
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
        file = folder / "registry.yml"
        file.write_text(json.dumps(config), encoding="utf-8")
        log = (folder / "registry.log").open("wb")
        started.append(subprocess.Popen([program, "serve", str(file)], stdout=log, stderr=log))
        eventually(lambda: socket.create_connection(("127.0.0.1", port), 1), 20, tolerating=[OSError]).close()
        return f"127.0.0.1:{port}"

    try:
        yield start
    finally:
        for process in started:
            process.terminate()
            process.wait(20)
