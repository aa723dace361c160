"""A folder that follows the server's event files, as TensorBoard needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.errors import Failed, MachineError
from deploy.runtimes.ports import free_ports
from deploy.tensorboard import mirror
from deploy.tensorboard.mirror import Follower, follow
from deploy.tensorboard.program import choose_port


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source" / "job" / "site-1" / "events"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"one")
    return tmp_path / "source"


def test_a_file_that_grew_grows_and_stays_the_same_file(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    follow(source, target)
    own = target / "job" / "site-1" / "events"
    held = own.open("rb")
    with (source / "job" / "site-1" / "events").open("ab") as more:
        more.write(b" two")
    (source / "job" / "site-2").mkdir()
    (source / "job" / "site-2" / "events").write_bytes(b"new")

    follow(source, target)

    with held:
        assert held.read() == b"one two"
    assert (target / "job" / "site-2" / "events").read_bytes() == b"new"


def test_a_file_that_is_another_one_now_is_taken_anew(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    follow(source, target)
    (source / "job" / "site-1" / "events").write_bytes(b"x")

    follow(source, target)

    assert (target / "job" / "site-1" / "events").read_bytes() == b"x"


def test_what_cannot_be_had_now_is_said_once_and_had_later(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "PAUSE_SECONDS", 0.01)
    said: list[str] = []
    asked = 0

    def find() -> Path | None:
        nonlocal asked
        asked += 1
        if asked < 5:
            raise Failed("the server has no pod")
        return source if asked > 6 else None

    with Follower(find, tmp_path / "target", said.append):
        while asked < 9:
            pass

    assert said == ["The event files cannot be had now: the server has no pod"]
    assert (tmp_path / "target" / "job" / "site-1" / "events").read_bytes() == b"one"


def test_a_port_that_is_taken_is_refused_only_if_somebody_asked_for_it() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(MachineError, match=f"Port {port} is taken"):
            choose_port(port)
    (free,) = free_ports(1)
    assert choose_port(free) == free
    assert choose_port(None) > 0
