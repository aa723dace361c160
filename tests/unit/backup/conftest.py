"""Provisioned federations, as in the tests of provisioning, and passphrases that cost no time."""

from __future__ import annotations

import pytest

from deploy.backup import encryption
from tests.unit.provision.conftest import federation, untouched

__all__ = ["federation", "untouched"]


@pytest.fixture(autouse=True)
def _cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "SCRYPT_N", 2**10)
