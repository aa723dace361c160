"""Checkpoints on disk: types are kept, damage is recognized, a full disk spoils nothing."""

from __future__ import annotations

import errno
import os
import random
import stat
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fl_app.survival import checkpoints
from fl_app.survival.checkpoints import CheckpointStore, NoSpaceError, folder_of, forget, sweep
from fl_app.survival.resumable import State, UnsupportedStateError

SEED = 16
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    store = CheckpointStore(folder_of(tmp_path, "job-1"))
    assert not store.begin()
    return store


def state_of(number: int) -> dict[str, State]:
    weights = np.arange(1000, dtype=np.float32) + number
    return {"model": State({"layer/weight": weights}, {"number": number})}


def number_in(store: CheckpointStore) -> int | None:
    found = store.latest()
    if found is None:
        return None
    number = int(found.parts["model"].document["number"])
    np.testing.assert_array_equal(found.parts["model"].arrays["layer/weight"], np.arange(1000) + number)
    return number


ARRAYS: dict[str, Any] = {
    "double": np.linspace(0, 1, 7),
    "half": np.ones((2, 3), dtype=np.float16),
    "mask": np.array([True, False]),
    "count": np.int64(3),
    "none": np.zeros((0, 4), dtype=np.int8),
    "not contiguous": np.arange(12, dtype=np.int32).reshape(3, 4).T,
    "tensor": torch.randn(3, 2),
    "bf16": torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
    "fp16": torch.ones(2, dtype=torch.float16),
    "a batch count": torch.tensor(5),
    "bits": torch.tensor([True, False]),
    "empty": torch.zeros(0, 3),
    "transposed": torch.arange(6).reshape(2, 3).T,
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_keeps_its_framework_its_type_its_shape_and_its_bits(
    name: str, store: CheckpointStore, tmp_path: Path
) -> None:
    before = ARRAYS[name]

    store.write({"model": State({name: before})}, tmp_path)

    found = store.latest()
    assert found is not None
    after = found.parts["model"].arrays[name]
    assert isinstance(after, torch.Tensor) == isinstance(before, torch.Tensor)
    assert after.dtype == before.dtype
    assert tuple(after.shape) == tuple(before.shape)
    if isinstance(after, torch.Tensor):
        assert (
            after.contiguous()
            .view(-1)
            .view(torch.uint8)
            .equal(before.contiguous().view(-1).view(torch.uint8))
        )
    else:
        np.testing.assert_array_equal(after, before)


def test_the_arrays_are_a_file_that_safetensors_reads(store: CheckpointStore, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    store.write({"model": State({"w": torch.arange(5.0)})}, tmp_path)

    (file,) = store.folder.glob("*.safetensors")
    assert load_file(file)["model/w"].equal(torch.arange(5.0))


@pytest.mark.parametrize(
    "value",
    [torch.eye(3).to_sparse(), np.ones(2, dtype=object), np.ones(2, dtype=">f4")],
    ids=["sparse", "objects", "big endian"],
)
def test_arrays_without_a_form_in_the_file_are_refused(
    value: Any, store: CheckpointStore, tmp_path: Path
) -> None:
    store.write(state_of(1), tmp_path)

    with pytest.raises(UnsupportedStateError):
        store.write({"model": State({"w": value})}, tmp_path)

    assert number_in(store) == 1


def test_what_is_not_json_is_refused(store: CheckpointStore, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedStateError):
        store.write({"model": State({}, {"bytes": b""})}, tmp_path)


def test_the_two_newest_are_kept_and_only_their_owner_reads_them(
    store: CheckpointStore, tmp_path: Path
) -> None:
    for number in range(1, 5):
        store.write(state_of(number), tmp_path)

    files = [file for file in store.folder.rglob("*") if file.is_file()]
    assert len(files) == 2 * 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert number_in(store) == 4


def damage(file: Path, choice: random.Random) -> str:
    """Truncate the file, or flip bits of one byte, at a random point."""
    content = bytearray(file.read_bytes())
    at = choice.randrange(len(content))
    if choice.random() < 0.5:
        file.write_bytes(content[:at])
        return f"{file.name} truncated at {at} of {len(content)}"
    content[at] ^= choice.randrange(1, 256)
    file.write_bytes(content)
    return f"{file.name} changed at {at} of {len(content)}"


def test_a_checkpoint_that_is_damaged_at_any_byte_is_recognized_and_the_one_before_it_used(
    store: CheckpointStore, tmp_path: Path
) -> None:
    choice = random.Random(SEED)
    (tmp_path / "best.bin").write_bytes(b"best" * 100)
    for number in (1, 2):
        store.write(state_of(number), tmp_path)
    store.write({**state_of(3), "best": State(files=("best.bin",))}, tmp_path)
    newest = [file for file in store.folder.rglob("*") if file.is_file() and "00000002" not in file.name]
    assert len(newest) == 3

    for _ in range(300):
        file = choice.choice(newest)
        intact = file.read_bytes()
        what = damage(file, choice)
        assert number_in(store) == 2, what
        file.write_bytes(intact)
    assert number_in(store) == 3


def test_a_process_that_is_killed_while_it_writes_leaves_the_last_checkpoint(
    store: CheckpointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(state_of(1), tmp_path)
    written = []

    def killed(*_: Any) -> None:
        written.append(True)
        raise KeyboardInterrupt

    for name in ("write_arrays", "write_atomically"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(checkpoints, name, killed)
            store.write(state_of(2), tmp_path)
        assert number_in(store) == 1
    assert len(written) == 2

    store.write(state_of(3), tmp_path)
    assert number_in(store) == 3
    assert not list(store.folder.rglob("*.new"))


def test_leftovers_of_a_killed_process_are_removed(store: CheckpointStore, tmp_path: Path) -> None:
    (store.folder / "00000007.safetensors.new").write_bytes(b"torn")
    (store.folder / "00000007.safetensors").write_bytes(b"without a manifest")
    (store.folder / "files" / "torn.new").write_bytes(b"torn")

    store.write(state_of(1), tmp_path)

    assert sorted(file.name for file in store.folder.rglob("*") if file.is_file()) == [
        "00000001.json",
        "00000001.safetensors",
    ]


def test_files_of_the_state_are_copied_when_they_change_and_put_back(
    store: CheckpointStore, tmp_path: Path
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    (run / "app").mkdir(parents=True)
    best = run / "app" / "best.pt"
    best.write_bytes(b"round 1")
    parts = {"best": State(files=("app/best.pt", "missing.pt"))}
    store.write(parts, run)
    (first,) = (store.folder / "files").iterdir()
    store.write(parts, run)
    assert [file.stat().st_ino for file in (store.folder / "files").iterdir()] == [first.stat().st_ino]

    best.write_bytes(b"round 3")
    os.utime(best, ns=(1, 1))
    store.write(parts, run)
    best.write_bytes(b"round 4, which no checkpoint has")
    found = store.latest()
    assert found is not None
    found.restore_files(run)
    found.restore_files(other)

    assert best.read_bytes() == (other / "app" / "best.pt").read_bytes() == b"round 3"
    store.write(parts, run)
    store.write(parts, run)
    assert [file.read_bytes() for file in (store.folder / "files").iterdir()] == [b"round 3"]


def test_a_full_disk_is_refused_before_anything_is_written_and_costs_at_most_the_older_checkpoint(
    store: CheckpointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        store.write(state_of(number), tmp_path)
    free = checkpoints.RESERVE_BYTES + 4000 - 1
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, free))

    with pytest.raises(NoSpaceError, match="67 MB are free, a checkpoint needs 67 MB"):
        store.write(state_of(3), tmp_path)

    assert number_in(store) == 2
    assert len(list(store.folder.glob("*.json"))) == 1
    free += 1
    store.write(state_of(4), tmp_path)
    assert number_in(store) == 4


def test_a_damaged_checkpoint_takes_no_place_of_an_intact_one(
    store: CheckpointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        store.write(state_of(number), tmp_path)
    (store.folder / "00000002.safetensors").write_bytes(b"torn")
    assert number_in(store) == 1
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 0))

    with pytest.raises(NoSpaceError):
        store.write(state_of(3), tmp_path)

    assert number_in(store) == 1


def test_a_second_process_knows_that_it_is_not_the_first(store: CheckpointStore) -> None:
    assert CheckpointStore(store.folder).begin()


def test_the_checkpoints_of_an_ended_job_go_and_those_of_others_stay(tmp_path: Path) -> None:
    for job in ("ended", "running", "deleted"):
        CheckpointStore(folder_of(tmp_path, job)).begin()

    forget(tmp_path, "ended")
    forget(tmp_path, "never existed")
    assert sorted(folder.name for folder in (tmp_path / "checkpoints").iterdir()) == ["deleted", "running"]

    sweep(tmp_path, {"running"})
    assert [folder.name for folder in (tmp_path / "checkpoints").iterdir()] == ["running"]
    sweep(tmp_path / "empty", set())


@pytest.mark.parametrize("job_id", ["", "..", "../startup", ".hidden"])
def test_no_other_folder_is_removed(job_id: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the id"):
        forget(tmp_path, job_id)


def test_a_file_that_is_still_in_the_run_folder_is_not_copied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run_folder = CheckpointStore(tmp_path / "checkpoints"), tmp_path / "run"
    store.begin()
    run_folder.mkdir()
    (run_folder / "best.pt").write_bytes(b"best")
    store.write({"model": State(files=("best.pt",))}, run_folder)
    saved = store.latest()
    assert saved is not None

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("shutil.copyfile", full)

    saved.restore_files(run_folder)

    (run_folder / "best.pt").write_bytes(b"worse")
    with pytest.raises(OSError, match="full"):
        saved.restore_files(run_folder)
