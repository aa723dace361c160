"""The mirror of event files, and the port of TensorBoard."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from deploy.errors import Failed, MachineError
from deploy.ports import free_ports
from deploy.tensorboard import mirror
from deploy.tensorboard.mirror import append_new, mirrored
from deploy.tensorboard.program import choose_port
from tests.waiting import eventually


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source" / "job" / "site-1" / "events"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"one")
    return tmp_path / "source"


def test_new_content_is_appended_to_the_same_file(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    append_new(source, target)
    own = target / "job" / "site-1" / "events"
    with own.open("rb") as opened:
        with (source / "job" / "site-1" / "events").open("ab") as more:
            more.write(b" two")
        (source / "job" / "site-2").mkdir()
        (source / "job" / "site-2" / "events").write_bytes(b"new")

        append_new(source, target)

        assert opened.read() == b"one two"
    assert (target / "job" / "site-2" / "events").read_bytes() == b"new"


def test_a_file_that_has_not_grown_is_not_read(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_new(source, tmp_path / "target")
    monkeypatch.setattr(Path, "open", None)

    append_new(source, tmp_path / "target")


def test_a_file_that_has_shrunk_is_copied_again(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    append_new(source, target)
    (source / "job" / "site-1" / "events").write_bytes(b"x")

    append_new(source, target)

    assert (target / "job" / "site-1" / "events").read_bytes() == b"x"


def test_an_error_is_reported_once_and_the_mirror_continues(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "INTERVAL_SECONDS", 0.01)
    errors: list[str] = []
    calls = 0

    def find() -> Path | None:
        nonlocal calls
        calls += 1
        if calls < 5:
            raise Failed("the server has no pod")
        return source if calls > 6 else None

    with mirrored(find, tmp_path / "target", errors.append):
        eventually(lambda: calls >= 9, pause=0.01)

    assert errors == ["Cannot read the event files: the server has no pod"]
    assert (tmp_path / "target" / "job" / "site-1" / "events").read_bytes() == b"one"


def test_a_port_in_use_is_rejected_only_if_it_was_requested() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with pytest.raises(MachineError, match=f"Port {port} is in use"):
            choose_port(port)
    (free,) = free_ports(1)
    assert choose_port(free) == free
    assert choose_port(None) > 0
