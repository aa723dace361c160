"""`flarefleet charts`: to a folder, and to an OCI registry with helm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.charts import CHART_NAMES, chart_file, transport
from tests.charts.rendering import helm
from tests.registry import Registry

VERSION = chart_file("flare-client").removesuffix(".tgz").rpartition("-")[2]


def flarefleet(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli.app", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_saved_charts_are_in_the_folder_with_their_checksums(tmp_path: Path) -> None:
    ended = flarefleet(tmp_path, "charts", "save", "charts")

    assert ended.stdout.splitlines() == [f"charts/{chart_file(name)}" for name in CHART_NAMES]
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path / "charts", check=True)


def test_a_pushed_chart_is_installed_from_its_registry(registry: Registry, tmp_path: Path) -> None:
    address = registry()

    ended = flarefleet(tmp_path, "charts", "push", f"oci://{address}/flare/", "--plain-http", "--json")

    assert ended.returncode == 0, ended.stderr
    digests = json.loads(ended.stdout)
    assert list(digests) == [f"oci://{address}/flare/{name}:{VERSION}" for name in CHART_NAMES]
    assert all(digest.startswith("sha256:") for digest in digests.values())
    shown = [helm(), "show", "chart", f"oci://{address}/flare/flare-client", "--version", VERSION]
    done = subprocess.run([*shown, "--plain-http"], capture_output=True, text=True, check=True)
    assert "name: flare-client" in done.stdout


@pytest.mark.parametrize(
    ("version", "tag"), [("0.2.0-rc.1", "0.2.0-rc.1"), ("0.2.0+build-7", "0.2.0_build-7")]
)
def test_a_version_with_a_suffix_is_in_the_reference_of_a_pushed_chart(
    monkeypatch: pytest.MonkeyPatch, version: str, tag: str
) -> None:
    monkeypatch.setattr(transport, "chart_version", lambda name: version)
    monkeypatch.setattr(transport, "_push", lambda command, where: "pushed")
    monkeypatch.setattr(transport, "find_tool", lambda name: name)

    pushed = transport.push_charts("registry.example.org/flare")

    assert list(pushed) == [f"oci://registry.example.org/flare/{name}:{tag}" for name in CHART_NAMES]


@pytest.mark.parametrize(
    ("registry_name", "code", "message"),
    [
        ("https://registry.example.org", 2, "is not an OCI registry"),
        ("127.0.0.1:1/flare", 1, "helm could not push to 127.0.0.1"),
    ],
)
def test_a_push_that_fails_says_why(tmp_path: Path, registry_name: str, code: int, message: str) -> None:
    helm()
    ended = flarefleet(tmp_path, "charts", "push", registry_name)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
