"""The memory in which a model must fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_app.exchange.memory import Memory, ModelTooLarge

KIB = 1024
MEMINFO = "MemTotal:  9000 kB\nMemAvailable:  40 kB\nSwapTotal:  1000 kB\nHugePages_Total:  0\n"


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    (tmp_path / "meminfo").write_text(MEMINFO)
    return Memory(tmp_path, tmp_path)


def test_a_machine_has_its_memory_and_its_swap_whatever_is_in_use(memory: Memory) -> None:
    """The C library keeps freed memory, and other processes may end: only what can never fit is refused."""
    assert memory.limit() == 10_000 * KIB


@pytest.mark.parametrize(("limit", "bytes_"), [("1000000", 1_000_000), ("max", 10_000 * KIB)])
def test_a_container_has_its_limit(memory: Memory, limit: str, bytes_: int) -> None:
    (memory.cgroup / "memory.max").write_text(f"{limit}\n")

    assert memory.limit() == bytes_


def test_a_model_that_can_never_fit_is_refused_with_both_sizes(memory: Memory) -> None:
    memory.require(10_000 * KIB)

    with pytest.raises(ModelTooLarge, match=r"a model of 3\.00 GB does not fit into the memory of 0\.01 GB"):
        memory.require(3_000_000_000)


def test_any_model_is_accepted_where_the_system_does_not_tell(tmp_path: Path) -> None:
    Memory(tmp_path, tmp_path).require(1 << 50)
