"""The variant of an administrator's kit for this machine."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.runtimes.admin_kit import kit_for_host
from deploy.session.kit import AdminKit


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    folder = tmp_path / "kits" / "ada"
    (folder / "startup").mkdir(parents=True)
    (folder / "local").mkdir()
    (folder / "local" / "resources.json").write_text("{}")
    admin = {"username": "ada", "host": "fl.example.org", "port": 8002}
    (folder / "startup" / "fed_admin.json").write_text(json.dumps({"admin": admin}))
    (folder / "startup" / "client.key").write_text("secret")
    return folder


def read_variant(kit: Path, copy: Path, port: int) -> str:
    """Read all files of the variant, as a login does."""
    variant = kit_for_host(kit, "localhost", copy, port)
    assert AdminKit.read(variant).host == "localhost"
    assert (variant / "local" / "resources.json").read_text() == "{}"
    return (variant / "startup" / "client.key").read_text()


def test_a_kit_that_names_the_server_address_is_used_as_it_is(kit: Path, tmp_path: Path) -> None:
    assert kit_for_host(kit, "fl.example.org", tmp_path / "copy") == kit
    assert not (tmp_path / "copy").exists()


def test_a_variant_names_the_address_and_contains_no_copy_of_the_key(kit: Path, tmp_path: Path) -> None:
    variant = AdminKit.read(kit_for_host(kit, "localhost", tmp_path / "copy", 9002))

    assert variant.address == "localhost:9002"
    assert (variant.folder / "startup" / "client.key").readlink() == kit / "startup" / "client.key"
    assert AdminKit.read(kit).address == "fl.example.org:8002"


def test_the_variant_follows_a_kit_that_is_replaced(kit: Path, tmp_path: Path) -> None:
    (kit / "local" / "old.json").write_text("{}")
    read_variant(kit, tmp_path / "copy", 8002)
    (kit / "local" / "old.json").unlink()
    kit.rename(tmp_path / "old")
    shutil.copytree(tmp_path / "old", kit)
    (kit / "startup" / "client.key").write_text("renewed")

    assert read_variant(kit, tmp_path / "copy", 8002) == "renewed"
    assert {file.name for file in (tmp_path / "copy" / "local").iterdir()} == {"resources.json"}


def test_an_open_session_keeps_its_kit_when_another_command_starts(kit: Path, tmp_path: Path) -> None:
    first = AdminKit.read(kit_for_host(kit, "localhost", tmp_path / "copy", 9002))
    with first.borrowed() as folder, (folder / "startup" / "client.key").open() as key:
        read_variant(kit, tmp_path / "copy", 9003)

        assert key.read() == (folder / "startup" / "client.key").read_text() == "secret"


@pytest.mark.parametrize("executor", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_commands_at_the_same_time_do_not_break_each_other(
    kit: Path, tmp_path: Path, executor: type[Executor]
) -> None:
    with executor(max_workers=2) as pool:  # type: ignore[call-arg]
        calls = [pool.submit(read_variant, kit, tmp_path / "copy", 9000 + n % 2) for n in range(100)]
    assert {call.result() for call in calls} == {"secret"}
