"""The memory that is free for a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_app.exchange.memory import Memory, ModelTooLarge

KIB = 1024
MEMINFO = "MemTotal:  9000 kB\nMemAvailable:  4000 kB\nSwapFree:  1000 kB\nHugePages_Total:  0\n"


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Memory:
    monkeypatch.setattr("fl_app.exchange.memory.WAIT_SECONDS", 0)
    (tmp_path / "meminfo").write_text(MEMINFO)
    return Memory(tmp_path, tmp_path)


def test_the_free_memory_of_a_machine_includes_its_swap(memory: Memory) -> None:
    assert memory.free() == 5000 * KIB


def test_the_limit_of_a_container_counts_without_the_cache_of_files(memory: Memory) -> None:
    (memory.cgroup / "memory.max").write_text("1000000\n")
    (memory.cgroup / "memory.current").write_text("900000\n")
    (memory.cgroup / "memory.stat").write_text("anon 600000\ninactive_file 200000\nactive_file 50000\n")

    assert memory.free() == 350_000


def test_a_container_without_a_limit_has_the_memory_of_the_machine(memory: Memory) -> None:
    (memory.cgroup / "memory.max").write_text("max\n")
    (memory.cgroup / "memory.current").write_text("900000\n")

    assert memory.free() == 5000 * KIB


def test_a_model_that_does_not_fit_is_refused_with_both_sizes(memory: Memory) -> None:
    memory.require(5000 * KIB)

    with pytest.raises(ModelTooLarge, match=r"a model of 3\.00 GB does not fit: 0\.01 GB are free"):
        memory.require(3_000_000_000)


def test_a_model_waits_until_others_have_left_the_memory(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fl_app.exchange.memory.WAIT_SECONDS", 20)
    monkeypatch.setattr(
        "fl_app.exchange.memory.time.sleep",
        lambda _: (memory.proc / "meminfo").write_text("MemAvailable: 9000 kB\n"),
    )

    memory.require(8000 * KIB)


def test_any_model_is_accepted_where_the_system_does_not_tell(tmp_path: Path) -> None:
    Memory(tmp_path, tmp_path).require(1 << 50)
