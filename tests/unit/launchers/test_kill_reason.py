"""Why a job process was killed, with files as the kernel writes them."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from fl_app.launchers.kill_reason import KillReasons
from fl_app.launchers.memory_limit import MemoryKills

GIB = 1 << 30
KILLED = "its job process was killed by signal 9 (SIGKILL)"
OUT_OF_MEMORY = (
    "its job process was killed by the kernel: out of memory at 4.0 GiB; "
    "raise deployment.sites.north.resources.limits.memory"
)


class Kernel:
    """The kernel's files; by default of a container with cgroup v2."""

    def __init__(self, folder: Path, cgroup: str = "0::/") -> None:
        self.proc, self.cgroups = folder / "proc", folder / "cgroups"
        self.write(self.proc / "self" / "cgroup", cgroup)
        self.kill_on_machine(0)

    def write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def version_2(self, path: str = "", limit: int | str = 4 * GIB, kills: int = 0) -> None:
        events = f"low 0\nhigh 0\nmax {kills}\noom {kills}\noom_kill {kills}\noom_group_kill 0"
        self.write(self.cgroups / path / "memory.events", events)
        self.write(self.cgroups / path / "memory.max", str(limit))

    def version_1(self, path: str, limit: int, kills: int) -> None:
        folder = self.cgroups / "memory" / path
        self.write(folder / "memory.oom_control", f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}")
        self.write(folder / "memory.limit_in_bytes", str(limit))

    def kill_on_machine(self, kills: int) -> None:
        self.write(self.proc / "vmstat", f"nr_free_pages 100\noom_kill {kills}")

    @property
    def memory(self) -> MemoryKills:
        return MemoryKills(self.proc, self.cgroups)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def reason(reasons: KillReasons, before: tuple[int, int], code: int = -signal.SIGKILL) -> str:
    death = reasons.of(code, "north", before)
    assert death is not None
    return death.text


def test_a_process_that_the_kernel_killed_at_the_limit_is_named_with_the_setting(kernel: Kernel) -> None:
    kernel.version_2(kills=3)
    reasons = KillReasons(kernel.memory)
    before = reasons.counters()
    kernel.version_2(kills=4)
    death = reasons.of(-signal.SIGKILL, "north", before)
    assert death is not None
    assert death.text == OUT_OF_MEMORY
    assert death.is_deterministic


def test_a_kill_from_outside_is_not_called_out_of_memory(kernel: Kernel) -> None:
    kernel.version_2(kills=3)
    reasons = KillReasons(kernel.memory)
    death = reasons.of(-signal.SIGKILL, "north", reasons.counters())
    assert death is not None
    assert (death.text, death.is_deterministic) == (KILLED, False)


def test_one_kill_of_the_kernel_explains_one_process(kernel: Kernel) -> None:
    kernel.version_2(kills=0)
    reasons = KillReasons(kernel.memory)
    before = reasons.counters()
    kernel.version_2(kills=2)
    found = [reason(reasons, before) for _ in range(3)]
    assert found == [OUT_OF_MEMORY, OUT_OF_MEMORY, KILLED]


@pytest.mark.parametrize(
    ("cgroup", "limit", "size"),
    [("0::/system.slice/flare.service", 512 << 20, "512 MiB"), ("0::/a/b", 3 * GIB // 2, "1.5 GiB")],
)
def test_a_process_outside_of_a_container_has_a_cgroup_too(
    tmp_path: Path, cgroup: str, limit: int, size: str
) -> None:
    kernel = Kernel(tmp_path, cgroup)
    path = cgroup.removeprefix("0::/")
    kernel.version_2(path, limit, kills=0)
    reasons = KillReasons(kernel.memory)
    before = reasons.counters()
    kernel.version_2(path, limit, kills=1)
    assert f"out of memory at {size};" in reason(reasons, before)


@pytest.mark.parametrize("path", ["", "docker/1234"])
def test_the_limit_of_cgroup_version_1_is_known(tmp_path: Path, path: str) -> None:
    """In a container, /proc may show the path of the host, which the container does not see."""
    kernel = Kernel(tmp_path, "4:memory:/docker/1234\n0::/")
    kernel.version_1(path, 4 * GIB, kills=0)
    reasons = KillReasons(kernel.memory)
    before = reasons.counters()
    kernel.version_1(path, 4 * GIB, kills=1)
    assert reason(reasons, before) == OUT_OF_MEMORY


@pytest.mark.parametrize(("version", "limit"), [(1, (1 << 63) - 4096), (2, "max")])
def test_without_a_limit_only_the_machine_can_lack_memory(tmp_path: Path, version: int, limit: int) -> None:
    kernel = Kernel(tmp_path, "4:memory:/user\n0::/user")
    if version == 1:
        kernel.version_1("user", limit, kills=0)
    else:
        kernel.version_2("user", limit)
    reasons = KillReasons(kernel.memory)
    before = reasons.counters()
    assert reason(reasons, before) == KILLED
    kernel.kill_on_machine(1)
    assert reason(reasons, before) == (
        f"{KILLED}; meanwhile the kernel killed a process of this machine for lack of memory"
    )


def test_another_container_of_the_machine_that_lacks_memory_is_no_reason(kernel: Kernel) -> None:
    kernel.version_2()
    reasons = KillReasons(kernel.memory)
    before = reasons.counters()
    kernel.kill_on_machine(7)
    assert reason(reasons, before) == KILLED


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_crash_is_deterministic(kernel: Kernel, number: signal.Signals) -> None:
    reasons = KillReasons(kernel.memory)
    death = reasons.of(-number, "north", (0, 0))
    assert death is not None
    assert death.text == f"its job process was killed by signal {number.value} ({number.name})"
    assert death.is_deterministic


@pytest.mark.parametrize("code", [None, 0, 1, 9, 137])
def test_an_exit_code_is_no_kill(kernel: Kernel, code: int | None) -> None:
    assert KillReasons(kernel.memory).of(code, "north", (0, 0)) is None


def test_a_machine_without_these_files_has_no_counters(tmp_path: Path) -> None:
    reasons = KillReasons(MemoryKills(tmp_path, tmp_path))
    assert reasons.counters() == (0, 0)
    assert reason(reasons, (0, 0)) == KILLED
