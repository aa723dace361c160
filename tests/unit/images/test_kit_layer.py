"""The layer of a site's image."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from deploy.errors import InputError
from deploy.images.kit_layer import kit_layer

KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A kit that was provisioned with a strict umask."""
    folder = tmp_path / "site-1"
    for name, text in {
        "startup/client.crt": "certificate",
        "startup/client.key": KEY,
        "startup/start.sh": "#!/bin/sh\n",
        "local/resources.json.default": "{}",
        "readme.txt": "for a person",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o600)
    (folder / "startup" / "start.sh").chmod(0o700)
    return folder


def members(layer: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return {member.name: member for member in tar}


def test_the_layer_has_startup_and_local_without_the_key(kit: Path) -> None:
    assert list(members(kit_layer(kit, 0))) == [
        "etc/flare/kit",
        "etc/flare/kit/startup",
        "etc/flare/kit/startup/client.crt",
        "etc/flare/kit/startup/start.sh",
        "etc/flare/kit/local",
        "etc/flare/kit/local/resources.json.default",
    ]


def test_everyone_can_read_the_layer_and_only_root_can_write_it(kit: Path) -> None:
    modes = {name.rpartition("/")[2]: member.mode for name, member in members(kit_layer(kit, 0)).items()}
    assert (modes["startup"], modes["client.crt"], modes["start.sh"]) == (0o755, 0o644, 0o755)
    assert {member.uid for member in members(kit_layer(kit, 0)).values()} == {0}


def test_the_same_kit_gives_the_same_bytes_regardless_of_file_times(kit: Path) -> None:
    before = kit_layer(kit, 1767225600)
    for path in kit.rglob("*"):
        os.utime(path, (1, 1))
    assert kit_layer(kit, 1767225600) == before


def test_a_changed_kit_has_another_layer(kit: Path) -> None:
    before = kit_layer(kit, 0)
    (kit / "local" / "resources.json.default").write_text("{} ", encoding="utf-8")
    assert kit_layer(kit, 0) != before


@pytest.mark.parametrize("name", ["local/backup.pem", "startup/readme", "local/deep/er/notes.txt"])
def test_a_private_key_in_another_file_is_refused(kit: Path, name: str) -> None:
    (kit / name).parent.mkdir(parents=True, exist_ok=True)
    (kit / name).write_text("see below\n" + KEY, encoding="utf-8")
    with pytest.raises(InputError, match=f"{name} holds a private key"):
        kit_layer(kit, 0)


def test_a_link_is_refused(kit: Path) -> None:
    (kit / "local" / "shortcut").symlink_to(kit / "startup" / "client.key")
    with pytest.raises(InputError, match="shortcut is not a plain file"):
        kit_layer(kit, 0)


def test_a_folder_that_is_not_a_kit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="flarefleet provision"):
        kit_layer(tmp_path, 0)
