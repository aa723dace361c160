"""Torch uses one thread: the tests run in parallel on few cores."""

from tests.unit.hospital.conftest import _one_thread

__all__ = ["_one_thread"]
