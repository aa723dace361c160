"""The context is where the private key is: in the Secret and the key files, and nowhere else."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from deploy.bundle.known_secrets import KnownSecrets
from deploy.images.kit_layer import kit_layer
from deploy.release.participant import participants_of
from deploy.runtimes.docker.keys import private_key_of
from deploy.runtimes.docker.program import find_compose
from deploy.runtimes.kubernetes.cluster import Cluster
from deploy.runtimes.kubernetes.installation import ensure_key, write_values
from deploy.runtimes.kubernetes.plan import ReleaseTarget
from fl_app.launchers.manifest import startup_without_key
from tests.unit.provision.federation import ADMIN, SERVER, Federation

KINDS = {SERVER: "server", "site-1": "client"}


@pytest.mark.parametrize("name", KINDS)
def test_no_image_layer_and_no_public_file_of_a_release_has_a_context(
    untouched: Federation, name: str
) -> None:
    kit, release = untouched.workspace.kit(name), untouched.workspace.release / name
    secrets = [file.read_bytes() for file in kit.rglob("*.tenseal")]
    assert secrets
    forms = [form for secret in secrets for form in (secret, base64.b64encode(secret))]

    with tarfile.open(fileobj=io.BytesIO(kit_layer(kit, 0))) as layer:
        published = {
            member.name: content.read() for member in layer if (content := layer.extractfile(member))
        }
    published |= {
        str(file.relative_to(release)): file.read_bytes()
        for file in release.rglob("*")
        if file.is_file() and file.parent.name != "key" and file.name != "key-secret.yaml"
    }
    admin = untouched.workspace.release / ADMIN
    published |= {str(file): file.read_bytes() for file in admin.rglob("*") if file.is_file()}

    assert "values.yaml" in published
    assert [file for file, content in published.items() if any(form in content for form in forms)] == []


@pytest.mark.parametrize("name", KINDS)
def test_the_secret_of_a_participant_has_both_files(untouched: Federation, name: str) -> None:
    startup, release = untouched.workspace.kit(name) / "startup", untouched.workspace.release / name
    names = [f"{KINDS[name]}.key", f"{KINDS[name]}_context.tenseal"]

    secret = yaml.safe_load((release / "key-secret.yaml").read_text())

    assert {key: base64.b64decode(value) for key, value in secret["data"].items()} == {
        key: (startup / key).read_bytes() for key in names
    }
    assert sorted(file.name for file in (release / "key").iterdir()) == names
    guide = (release / "INSTALL.md").read_text()
    assert "kubectl apply --server-side -n" in guide, "kubectl's annotation cannot hold the context"
    assert "kubectl apply -n" not in guide
    assert "values.yaml" in guide
    participant = participants_of(untouched.project, untouched.workspace)[name]
    assert [file.name for file in participant.secret_files] == names


def test_compose_mounts_both_files_of_a_host_as_secrets(untouched: Federation) -> None:
    folder = untouched.workspace.release / "site-1"

    found = yaml.safe_load(find_compose().run(folder / "compose.yaml", "config"))

    targets = {
        one["target"]: found["secrets"][one["source"]]["file"]
        for one in found["services"]["site-1"]["secrets"]
    }
    assert targets == {
        f"/run/secrets/flare/{name}": str(folder / "key" / name)
        for name in ("client.key", "client_context.tenseal")
    }
    assert "sudo chown 10001 key/*" in (folder / "INSTALL.md").read_text()


def test_a_container_of_another_context_has_another_volume(untouched: Federation, tmp_path: Path) -> None:
    kit = untouched.workspace.kit("site-1")
    key = private_key_of(kit, "client", "demo")
    assert [file.name for file in key.files] == ["client.key", "client_context.tenseal"]

    startup = tmp_path / "startup"
    startup.mkdir()
    for file in (kit / "startup").iterdir():
        (startup / file.name).write_bytes(file.read_bytes())
    (startup / "client_context.tenseal").write_bytes(b"new")

    assert private_key_of(tmp_path, "client", "demo").volume != key.volume


def test_a_bundle_knows_the_context_in_every_form_that_a_text_can_have(untouched: Federation) -> None:
    known = KnownSecrets()
    known.add_folder(untouched.workspace.root)

    contexts = {file.read_bytes() for file in untouched.workspace.root.rglob("*.tenseal")}
    assert len(contexts) == 2
    assert {base64.b64encode(context).decode() for context in contexts} <= known.values
    assert all(line.isascii() for line in known.key_lines), "no line of a binary file"


def test_the_secret_in_a_cluster_has_both_files(untouched: Federation, tmp_path: Path) -> None:
    participant = participants_of(untouched.project, untouched.workspace)["site-1"]
    created: list[dict[str, Any]] = []
    core = SimpleNamespace(
        read_namespaced_secret=lambda *_: SimpleNamespace(data={}),
        replace_namespaced_secret=lambda _name, _namespace, manifest: created.append(manifest),
    )

    target = ReleaseTarget(name="site-1", role="client", context="kind", namespace="n", release="site-1")

    ensure_key(cast(Cluster, SimpleNamespace(core=core)), target, participant)

    (manifest,) = created
    assert sorted(manifest["data"]) == ["client.key", "client_context.tenseal"]
    size = sum(len(base64.b64decode(value)) for value in manifest["data"].values())
    assert size < 2**20, "the limit of Kubernetes"
    write_values(tmp_path / "values.yaml", participant, {})
    before = (tmp_path / "values.yaml").read_text()
    participant.secret_files = participant.secret_files[:1]
    write_values(tmp_path / "values.yaml", participant, {})
    assert (tmp_path / "values.yaml").read_text() != before, "another context restarts the pod"


def test_a_job_pod_has_the_context_and_a_disposable_key(untouched: Federation) -> None:
    startup = untouched.workspace.kit("site-1") / "startup"

    files = startup_without_key(startup, "client")

    assert files["client_context.tenseal"] == (startup / "client_context.tenseal").read_bytes()
    assert files["client.key"] != (startup / "client.key").read_bytes()


def test_the_context_in_the_state_is_marked_as_a_secret(untouched: Federation) -> None:
    content = json.loads((untouched.workspace.state / "he_context.json").read_text())
    assert content.keys() == {"arguments", "secret", "digest"}
