"""Free and used ports of this machine."""

from __future__ import annotations

import errno
import os
import resource
import socket
from unittest.mock import Mock

import psutil
import pytest

from deploy.errors import MachineError
from deploy.ports import free_ports, holder_of, is_free, refuse_taken_ports


def test_free_ports_differ_and_are_free() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)
    refuse_taken_ports(ports)


def test_free_ports_are_none_that_linux_or_kubernetes_chooses_for_other_programs() -> None:
    assert max(free_ports(50)) < 30_000, "Kubernetes' range begins there, that of Linux by default at 32768"


def test_free_ports_are_not_held_open_while_others_are_searched() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (psutil.Process().num_fds() + 10, limits[1]))
    try:
        assert len(free_ports(50)) == 50
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_an_error_of_the_machine_does_not_count_as_a_used_port(monkeypatch: pytest.MonkeyPatch) -> None:
    error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    monkeypatch.setattr("deploy.ports.listen", Mock(side_effect=error))
    with pytest.raises(OSError, match="Too many open files"):
        free_ports(1)


def test_ports_that_are_reserved_are_not_free() -> None:
    reserved = set(range(10_000, 29_990))
    ports = free_ports(3, reserved)
    assert not reserved & set(ports)
    with pytest.raises(MachineError, match="Fewer than 20 of the ports 10000 to 29999"):
        free_ports(20, reserved)


def test_a_used_port_is_rejected_with_the_name_of_its_process() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        assert not is_free(port)
        assert f"(process {os.getpid()})" in str(holder_of(port))
        with pytest.raises(
            MachineError, match=f"port {port} .* uses it. Stop that process, or choose another fed_learn_port"
        ):
            refuse_taken_ports([port])


def test_a_free_port_has_no_process() -> None:
    assert holder_of(free_ports(1)[0]) is None
