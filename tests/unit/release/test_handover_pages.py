"""The pages about a site: the guide of a hospital, INSTALL.md, and the hand-over."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from deploy.charts import chart_file
from deploy.images.digests import record_digests
from deploy.images.names import site_image
from tests.documented import ROOT, commands_in, run
from tests.unit.provision.federation import Federation
from tests.unit.release.conftest import update_all

RECEIVE = ("gpg ", "docker load")


def bare(line: str) -> str:
    """Return a command without its comment, the version of the chart and the hospital's own settings."""
    command = line.partition("#")[0].strip().replace(" -f own.yaml", "")
    return command.replace(chart_file("flare-client"), "flare-client-*.tgz")


def test_the_hospitals_guide_has_the_commands_of_install_md(provisioned: Federation) -> None:
    guide = {
        bare(one.line.replace("hospital-1", "site-2"))
        for one in commands_in(ROOT / "docs" / "hospital.md")
        if not one.line.startswith(RECEIVE)
    }
    page = {bare(one.line) for one in commands_in(provisioned.workspace.release / "site-2" / "INSTALL.md")}

    # `get pods` lists job pods, which is a remark of the guide only.
    assert guide - page == {"kubectl get pods -n site-2 -l flare/role=job"}
    assert {line for line in page - guide if not line.startswith(RECEIVE)} == {
        "kubectl describe pod -n site-2 site-2-0"
    }


def test_an_upgrade_without_a_registry_loads_and_names_the_new_image(federation: Federation) -> None:
    workspace, image = federation.workspace, site_image(federation.project, "site-2")
    upgrade = {"docker load --input site-2.tar", "sudo chown 10001 key/*"}
    guide = (ROOT / "docs" / "hospital.md").read_text().replace("hospital-1", "site-2")
    assert upgrade <= commands_of(guide, "## Upgrade")
    assert upgrade <= upgrade_of(workspace.release / "site-2")

    record_digests(workspace, {image: f"sha256:{0:064}"})
    update_all(federation)

    assert upgrade | {f"echo FLARE_IMAGE={image} > .env"} <= upgrade_of(workspace.release / "site-2")


def upgrade_of(release: Path) -> set[str]:
    """Return the commands with which INSTALL.md upgrades a host with Docker."""
    docker = (release / "INSTALL.md").read_text().partition("\n## Docker")[2]
    assert "In the new release folder" in docker
    return commands_of(docker, "### Upgrade")


def commands_of(page: str, heading: str) -> set[str]:
    """Return the lines of the code blocks of a section."""
    level = heading.partition(" ")[0]
    section = page.partition(f"\n{heading}")[2].partition(f"\n{level} ")[0]
    blocks = re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return {bare(line) for block in blocks for line in block.splitlines()}


def test_the_header_of_compose_yaml_has_the_commands_of_install_md(provisioned: Federation) -> None:
    folder = provisioned.workspace.release / "site-2"
    header = (folder / "compose.yaml").read_text().partition("name:")[0]
    steps = [bare(line.removeprefix("#")) for line in header.splitlines() if line.startswith("#   ")]

    assert len(steps) == 3
    assert set(steps) <= {bare(one.line) for one in commands_in(folder / "INSTALL.md")}


@pytest.mark.parametrize("page", ["hospital.md", "docker.md", "air-gap.md", "runbooks"])
def test_no_page_asks_a_hospital_to_query_the_telemetry_port_of_its_host(page: str) -> None:
    path = ROOT / "docs" / page
    files = [path] if path.is_file() else sorted(path.glob("*.md"))

    assert [file.name for file in files if "127.0.0.1:9464" in file.read_text(encoding="utf-8")] == []


def test_a_release_folder_that_was_encrypted_as_documented_arrives(
    provisioned: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpg").mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(tmp_path / "gpg"))
    key = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", "it@hospital-1.example"]
    subprocess.run(key, check=True, capture_output=True)
    (tmp_path / "workspace").symlink_to(provisioned.folder / "workspace")
    hospital = [one.line for one in commands_in(ROOT / "docs" / "hospital.md") if "gpg" in one.line]
    operator = [one.line for one in commands_in(ROOT / "docs" / "air-gap.md")]
    operator = [line for line in operator if line.startswith(("gpg", "tar -C", "openssl"))]
    export, receive = hospital

    try:
        for line in (export, *operator, receive):
            run(re.sub(r"(?<!@)hospital-1", "site-2", line).replace("PROJECT", "hospitals"), tmp_path)
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=False, env=dict(os.environ))

    for name in ("key/client.key", "compose.yaml"):
        sent = provisioned.workspace.release / "site-2" / name
        assert (tmp_path / "site-2" / name).read_bytes() == sent.read_bytes()
